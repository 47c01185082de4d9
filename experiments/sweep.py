"""--sweep: several values of a hyper-parameter, each with each seed, in one program.

    --sweep=learning_rate=1e-4,3e-4,1e-3          three values, num_seeds members each
    --sweep=learning_rate=1e-4,1e-3,gamma=0.9,0.99          each of the four combinations

A point is a value of each name; its members are the seeds, first those of the first point, and so
on. What can be swept are numbers that the compiled step computes with (members.py). The validation
part chooses a point, and what comes after training (test, pictures, predictions) is of its members.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments import base

if TYPE_CHECKING:
    import numpy as np

    from dljax.train.loop import Task
    from experiments.session import Experiment

Point = dict[str, float | int]
NEVER = ("seed", "num_seeds", "steps")  # what the loop itself counts by


def points(config: base.Config) -> list[Point]:
    """The points that --sweep names; a single one without a name where it names nothing.

    Raises ValueError, in one line, for what is no number of this experiment or out of its range.
    """
    named: dict[str, list[float | int]] = {}
    for word in config.sweep:
        name, equals, value = word.rpartition("=")
        if equals:
            if name in named:
                raise ValueError(f"sweep: {name} is there twice")
            kind, named[name] = _number(config, name), []
        elif not named:
            raise ValueError(f"sweep is written name=value,value,..., not {word!r}")
        try:
            number = kind(value)
        except ValueError:
            raise ValueError(f"sweep: {value!r} is no value of {next(reversed(named))}") from None
        named[next(reversed(named))].append(number)
    found = [dict(zip(named, values, strict=True)) for values in itertools.product(*named.values())]
    for point in found:
        at(config, point)  # checks the range of each
    return found


def _number(config: base.Config, name: str) -> type:
    """The type of a field that may be swept."""
    fields = {entry.name: entry for entry in dataclasses.fields(config)}
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1)
        raise ValueError(
            f"sweep: no flag {name!r}" + (f"; did you mean {near[0]}?" if near else "")
        )
    kind, _, many = base.kind_of(type(config), name)
    resumes = not fields[name].metadata.get("resume", True)
    if many or kind not in (int, float) or resumes or name in NEVER:
        raise ValueError(f"{name} can't be swept: it is no number of the training step")
    return kind


def at(config: base.Config, point: Mapping[str, Any]) -> base.Config:
    """The Config of one point, whose values may be those of a program that is being traced."""
    return dataclasses.replace(config, sweep=(), **point)


def count(config: base.Config) -> int:
    """How many are trained side by side: points times seeds."""
    return len(points(config)) * config.num_seeds


def task(config: base.Config, experiment: Experiment) -> tuple[Task, tuple]:
    """What the loop trains: the Task and what its init takes besides a key.

    Raises ValueError, in one line, for a hyper-parameter that can't be swept.
    """
    if not config.sweep:
        return experiment.task(config), experiment.given
    if experiment.given:
        raise ValueError("sweep: what starts from given values makes a run for each value")
    from dljax.train import members

    plain = [
        experiment.task(at(config, point)) for point in points(config)
    ]  # refuses what is wrong

    def make(values: members.Values) -> Task:
        return experiment.task(at(config, values))

    values = {name: x[0] for name, x in given(config).items()}
    members.check(make, experiment.feed, values)
    return members.task(make, plain[0].spec), (given(config),)


def given(config: base.Config) -> dict[str, np.ndarray]:
    """The value of each member, name -> [members]."""
    import numpy as np

    each = [point for point in points(config) for _ in range(config.num_seeds)]
    kinds = {int: np.int32, float: np.float32}
    return {
        name: np.array([point[name] for point in each], kinds[type(each[0][name])])
        for name in each[0]
    }


def scores(
    config: base.Config, score: Callable[[dict], float], metrics: dict[str, np.ndarray]
) -> np.ndarray:
    """The score of each seed of each point [points, num_seeds]; NaN for those that were dropped."""
    import numpy as np

    def one(i: int) -> float:
        values = {name: x[i : i + 1] for name, x in metrics.items()}
        gone = all(np.isnan(x).all() for x in values.values())
        return math.nan if gone else score(values)

    found = [one(i) for i in range(count(config))]
    return np.array(found).reshape(-1, config.num_seeds)


def best(scores: np.ndarray) -> int:
    """The point with the largest mean score, of those that lost the fewest seeds."""
    import numpy as np

    lost = np.isnan(scores).sum(1)
    eligible = (lost == lost.min()) & (lost < scores.shape[1])
    means = np.nansum(scores, 1) / np.maximum(scores.shape[1] - lost, 1)
    return int(np.argmax(np.where(eligible, means, -np.inf)))


def best_score(
    config: base.Config, score: Callable[[dict], float]
) -> Callable[[dict[str, np.ndarray]], float]:
    """What scores a checkpoint: all seeds, or those of a sweep's best point."""
    if not config.sweep:
        return score

    def of_best(metrics: dict[str, np.ndarray]) -> float:
        import numpy as np

        found = scores(config, score, metrics)
        return float(np.nanmean(found[best(found)]))

    return of_best


class Chosen(NamedTuple):
    """point: the chosen one's values. members: indices of its members. table: a dict a point."""

    point: Point
    members: list[int]
    table: list[dict[str, Any]]


def choose(
    config: base.Config, validation: np.ndarray | None, test: dict[str, np.ndarray]
) -> Chosen:
    """By the validation scores [points, num_seeds]; the first point where there are none.

    test: metrics [members], told in the table.
    """
    from dljax.train.metrics import describe

    n = config.num_seeds
    table = []
    for i, point in enumerate(points(config)):
        part = {name: x[i * n : (i + 1) * n] for name, x in test.items() if x.ndim == 1}
        row = {"point": point, "metrics": {name: describe(x) for name, x in part.items()}}
        if validation is not None:
            row["score"] = describe(validation[i])
        table.append(row)
    chosen = 0 if validation is None else best(validation)
    return Chosen(table[chosen]["point"], list(range(chosen * n, (chosen + 1) * n)), table)


def draw(chosen: Chosen, path: Path) -> None:
    """The validation score of each point."""
    import numpy as np

    from dljax import plots

    each = [row["point"] for row in chosen.table]
    scores = np.array([row["score"]["per_seed"] for row in chosen.table])
    if len(chosen.point) == 1:
        (name,) = chosen.point
        plots.sweep([point[name] for point in each], scores, name, path)
    else:
        labels = ["\n".join(f"{value:g}" for value in point.values()) for point in each]
        plots.sweep(labels, scores, ", ".join(chosen.point), path)


def lines(chosen: Chosen, shown: int = 4) -> list[str]:
    """The table for a reader, a line a point, with the first few of the test's metrics."""
    rows = [[" ", *chosen.point]]
    first = chosen.table[0]
    names = list(first["metrics"])[:shown]
    rows[0] += ["validation score"] * ("score" in first) + names
    for row in chosen.table:
        told = [row["score"]] if "score" in row else []
        told += [row["metrics"][name] for name in names]
        mark = "*" if row["point"] == chosen.point and "score" in row else " "
        values = [f"{value:.4g}" for value in row["point"].values()]
        rows.append([mark, *values, *(f"{x['mean']:.4g} ± {x['std']:.2g}" for x in told)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    chosen_by = "*: chosen by the validation score; what follows is of it"
    by_none = "there is no validation part to choose by: what follows is of the first"
    end = chosen_by if "score" in first else by_none
    return [*(line.rstrip() for line in text), end]
