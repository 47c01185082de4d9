"""--sweep: several values of a hyper-parameter, each with each seed, in one program.

    --sweep=learning_rate=1e-4,3e-4,1e-3          three values, num_seeds members each
    --sweep=learning_rate=1e-4,1e-3,gamma=0.9,0.99          each of the four combinations

A point is a value of each name; its members are the seeds, first those of the first point, and so
on. What can be swept are numbers that the compiled step computes with (train/sweep_task.py). The
validation part chooses a point, and what comes after training (test, pictures, predictions) is of
its members.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax import plots
from dljax.run.command_line import UsageError
from dljax.run.config import C, Config, kind_of, with_traced
from dljax.run.experiment import Experiment
from dljax.train import sweep_task
from dljax.train.loop import Task
from dljax.train.metrics import describe

Point = dict[str, float | int]
Metrics = dict[str, np.ndarray]
NEVER = ("seed", "num_seeds", "steps")  # what the loop itself counts by


class Sweep(NamedTuple):
    """points: what is trained, a single one without a name where there is no sweep.

    num_seeds: members of each point.
    """

    points: tuple[Point, ...]
    num_seeds: int

    def __bool__(self) -> bool:
        """Whether anything is swept."""
        return bool(self.points[0])

    @property
    def count(self) -> int:
        """How many members are trained side by side: points times seeds."""
        return len(self.points) * self.num_seeds

    def members(self) -> list[Point]:
        """The point of each member."""
        return [point for point in self.points for _ in range(self.num_seeds)]

    def values(self) -> dict[str, np.ndarray]:
        """The value of each member, name -> [members]."""
        each = self.members()
        kinds = {int: np.int32, float: np.float32}
        return {
            name: np.array([point[name] for point in each], kinds[type(each[0][name])])
            for name in each[0]
        }


@functools.cache
def parse(config: Config) -> Sweep:
    """The points that --sweep names.

    Raises UsageError, in one line, for what is no number of this experiment or out of its range.
    """
    try:
        return _parse(config)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _parse(config: Config) -> Sweep:
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
    points = [
        dict(zip(named, values, strict=True)) for values in itertools.product(*named.values())
    ]
    for point in points:
        at(config, point)  # checks the range of each
    return Sweep(tuple(points), config.num_seeds)


def _number(config: Config, name: str) -> type:
    """The type of a field that may be swept."""
    fields = {entry.name: entry for entry in dataclasses.fields(config)}
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1)
        raise ValueError(
            f"sweep: no flag {name!r}" + (f"; did you mean {near[0]}?" if near else "")
        )
    kind, _, many = kind_of(type(config), name)
    resumes = not fields[name].metadata.get("resume", True)
    if many or kind not in (int, float) or resumes or name in NEVER:
        raise ValueError(f"{name} can't be swept: it is no number of the training step")
    return kind


def at(config: C, point: Mapping[str, Any]) -> C:
    """The Config of one point."""
    return dataclasses.replace(config, sweep=(), **point)


def task(sweep: Sweep, config: Config, experiment: Experiment) -> tuple[Task, tuple]:
    """What the loop trains: the Task and what its init takes besides a key.

    Raises UsageError, in one line, for a hyper-parameter that can't be swept.
    """
    if not sweep:
        return experiment.task(config), experiment.init_args
    if experiment.init_args:
        raise UsageError("sweep: what starts from given values makes a run for each value")
    try:  # what is wrong is refused
        plain = [experiment.task(at(config, point)) for point in sweep.points]
    except ValueError as error:
        raise UsageError(str(error)) from error

    def make(values: sweep_task.Values) -> Task:
        return experiment.task(with_traced(config, values))

    values = sweep.values()
    try:
        sweep_task.check(make, experiment.feed, {name: x[0] for name, x in values.items()})
    except ValueError as error:
        raise UsageError(str(error)) from error
    return sweep_task.task(make, plain[0].spec), (values,)


def scores(sweep: Sweep, score: Callable[[Metrics], float], metrics: Metrics) -> np.ndarray:
    """The score of each seed of each point [points, num_seeds]; NaN for those that were dropped."""

    def one(i: int) -> float:
        values = {name: x[i : i + 1] for name, x in metrics.items()}
        gone = all(np.isnan(x).all() for x in values.values())
        return math.nan if gone else score(values)

    return np.array([one(i) for i in range(sweep.count)]).reshape(-1, sweep.num_seeds)


def best(scores: np.ndarray) -> int:
    """The point with the largest mean score, of those that lost the fewest seeds."""
    lost = np.isnan(scores).sum(1)
    eligible = (lost == lost.min()) & (lost < scores.shape[1])
    means = np.nansum(scores, 1) / np.maximum(scores.shape[1] - lost, 1)
    return int(np.argmax(np.where(eligible, means, -np.inf)))


def best_score(sweep: Sweep, score: Callable[[Metrics], float]) -> Callable[[Metrics], float]:
    """What scores a checkpoint: all seeds, or those of a sweep's best point."""
    if not sweep:
        return score

    def of_best(metrics: Metrics) -> float:
        found = scores(sweep, score, metrics)
        return float(np.nanmean(found[best(found)]))

    return of_best


class Chosen(NamedTuple):
    """point: the chosen one's values. members: indices of its members. table: a dict a point."""

    point: Point
    members: list[int]
    table: list[dict[str, Any]]


def choose(sweep: Sweep, validation: np.ndarray | None, test: Metrics) -> Chosen:
    """By the validation scores [points, num_seeds]; the first point where there are none.

    test: metrics [members], shown in the table.
    """
    n = sweep.num_seeds
    table = []
    for i, point in enumerate(sweep.points):
        part = {name: x[i * n : (i + 1) * n] for name, x in test.items() if x.ndim == 1}
        row = {"point": point, "metrics": {name: describe(x) for name, x in part.items()}}
        if validation is not None:
            row["score"] = describe(validation[i])
        table.append(row)
    chosen = 0 if validation is None else best(validation)
    return Chosen(table[chosen]["point"], list(range(chosen * n, (chosen + 1) * n)), table)


def draw(chosen: Chosen, path: Path) -> None:
    """The validation score of each point."""
    each = [row["point"] for row in chosen.table]
    scores = np.array([row["score"]["per_seed"] for row in chosen.table])
    if len(chosen.point) == 1:
        (name,) = chosen.point
        plots.sweep([point[name] for point in each], scores, name, path)
    else:
        labels = ["\n".join(f"{value:g}" for value in point.values()) for point in each]
        plots.sweep(labels, scores, ", ".join(chosen.point), path)


def lines(chosen: Chosen, headline: Sequence[str]) -> list[str]:
    """The table for a reader, a line a point, with the headline metrics of the test."""
    rows = [[" ", *chosen.point]]
    first = chosen.table[0]
    names = [name for name in headline if name in first["metrics"]]
    rows[0] += ["validation score"] * ("score" in first) + names
    for row in chosen.table:
        scored = [row["score"]] if "score" in row else []
        scored += [row["metrics"][name] for name in names]
        mark = "*" if row["point"] == chosen.point and "score" in row else " "
        values = [f"{value:.4g}" for value in row["point"].values()]
        rows.append([mark, *values, *(f"{x['mean']:.4g} ± {x['std']:.2g}" for x in scored)])
    chosen_by = "*: chosen by the validation score; what follows is of it"
    by_none = "there is no validation part to choose by: what follows is of the first"
    end = [chosen_by, *_at_the_edge(chosen)] if "score" in first else [by_none]
    return [*aligned(rows), *end]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of texts as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]


def _at_the_edge(chosen: Chosen) -> list[str]:
    """A line for each swept name whose chosen value is the smallest or largest one tried."""
    lines = []
    for name, value in chosen.point.items():
        tried = {row["point"][name] for row in chosen.table}
        for extreme, which, further in (
            (min(tried), "smallest", "smaller"),
            (max(tried), "largest", "larger"),
        ):
            if value == extreme and len(tried) > 1:
                lines.append(
                    f"{name}={value:g} is the {which} value of the sweep: a {further} one may be "
                    "better"
                )
    return lines
