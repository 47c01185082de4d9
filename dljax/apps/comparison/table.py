"""The table of runs: their flags where they differ, their scores with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dljax.apps.comparison.runs import PastRun, config_type
from dljax.run import config as run_config
from dljax.train.intervals import Interval, interval

# Flags that have a column of their own.
COLUMNS = ("steps", "num_seeds")


def differing(runs: Sequence[PastRun]) -> list[str]:
    """The flags whose values differ between two runs of one experiment.

    Without those that the trained numbers do not depend on.
    """
    names: dict[str, None] = {}
    for experiment in dict.fromkeys(run.experiment for run in runs):
        same = [run.flags for run in runs if run.experiment == experiment]
        known = config_type(experiment)
        left_out = {"workdir", *COLUMNS}
        for entry in run_config.served(known) if known else ():
            if not entry.metadata.get("resume", True) or entry.metadata.get("group") == "use":
                left_out.add(entry.name)
        for name in dict.fromkeys(name for flags in same for name in flags):
            if name not in left_out and len({text(flags.get(name)) for flags in same}) > 1:
                names[name] = None
    return list(names)


def text(value: Any) -> str:
    """The value of a flag as one gives it; empty where there is none."""
    if isinstance(value, list | tuple):
        return ",".join(map(text, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def metrics(runs: Sequence[PastRun], wanted: Sequence[str]) -> list[str]:
    """The metrics to show; ValueError for one that no run has."""
    known = dict.fromkeys(name for run in runs for name in run.summary.get("metrics", {}))
    for name in wanted:
        if name not in known:
            raise ValueError(f"no run has a metric {name!r}, but {', '.join(known) or 'none'}")
    headlines = (name for run in runs for name in run.headline() if name in known)
    return list(wanted or dict.fromkeys(headlines))


def score(run: PastRun, metric: str) -> Interval | None:
    """Mean and Student's 95 % interval over the seeds; None where there is no number."""
    values = run.values(metric)
    return interval(values) if len(values) else None


class Cell(NamedTuple):
    """text: what is shown. key: what is sorted by, a number or a text, "" for an empty cell."""

    text: str
    key: float | int | str


def cells(runs: Sequence[PastRun], names: Sequence[str]) -> tuple[list[str], list[list[Cell]]]:
    """The table for a reader, header and a row a run: `rows` less what takes too much place."""
    flags = differing(runs)
    several = len({run.experiment for run in runs}) > 1
    header = [
        "run",
        *["experiment"] * several,
        *(f"--{x}" for x in flags),
        "steps",
        "seeds",
        *names,
    ]
    header += ["seconds", "checkpoint"]
    table = []
    for run, row in zip(runs, rows(runs, names), strict=True):
        line = [_cell(run.name)] + [_cell(run.experiment)] * several
        line += [_cell(run.flags.get(name)) for name in flags]
        line += [_cell(row["steps"]), _cell(row["seeds"])]
        line += [_scored(score(run, name)) for name in names]
        line += [_cell(row["seconds"]), _cell(row["checkpoint"])]
        table.append(line)
    return header, table


def _cell(value: Any) -> Cell:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(text(value), value if number else text(value))


def _scored(found: Interval | None) -> Cell:
    if found is None:
        return Cell("", "")
    spread = f" [{found.low:.4g}, {found.high:.4g}]" if np.isfinite(found.low) else ""
    return Cell(f"{found.mean:.4g}{spread}", found.mean)


def rows(runs: Sequence[PastRun], names: Sequence[str]) -> list[dict[str, Any]]:
    """A dict a run, all of the same keys: the content of the CSV."""
    flags, table = differing(runs), []
    for run in runs:
        row: dict[str, Any] = {"run": run.name, "experiment": run.experiment}
        row |= {name: text(run.flags.get(name)) for name in flags}
        row |= {"steps": run.step(), "seeds": run.flags.get("num_seeds", "")}
        for name in names:
            values, found = run.values(name), score(run, name)
            many = len(values) > 1
            row[f"{name} mean"] = "" if found is None else found.mean
            row[f"{name} std"] = values.std(ddof=1) if many else ""
            row[f"{name} 95% low"] = found.low if many else ""
            row[f"{name} 95% high"] = found.high if many else ""
        seconds = run.summary.get("seconds", {})
        row["seconds"] = round(sum(seconds.values()), 1) if seconds else ""
        row |= {"checkpoint": run.status(), "commit": run.summary.get("commit") or ""}
        row |= {"data": run.summary.get("dataset", ""), "workdir": str(run.workdir)}
        table.append(row)
    return table
