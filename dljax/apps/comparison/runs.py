"""The runs that are compared: where they lie, what each has left behind, how their flags differ."""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.run import config as run_config
from dljax.run import workdirs
from dljax.train import report

PICTURES = (".png", ".gif")


class PastRun(NamedTuple):
    """What a workdir tells of its run.

    name: the end of the workdir's path by which it differs from the others. flags: values of
    config.json, of a sweep with the chosen ones. summary: empty where the run has not come to its
    end. curves: as of `report.read_metrics`. seconds: of training until a step.
    """

    name: str
    workdir: Path
    experiment: str
    flags: Mapping[str, Any]
    summary: Mapping[str, Any]
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
    seconds: Mapping[int, float]
    pictures: Mapping[str, Path]

    def step(self) -> int:
        """The last one that was reported."""
        return self.summary.get("steps", max(self.seconds, default=0))

    def status(self) -> str:
        """Which checkpoint was scored, or how far the run has come."""
        if not self.summary:
            return f"unfinished, step {self.step()} of {self.flags.get('steps', '?')}"
        scored = self.summary.get("checkpoint")
        if scored is None:
            return ""
        kind = " and ".join(name for name in ("last", "best") if scored[name])
        return f"{kind}, step {scored['step']}"

    def values(self, metric: str) -> np.ndarray:
        """The test scores of the seeds that have one, [S]; none where there is no such metric."""
        found = self.summary.get("metrics", {}).get(metric, {}).get("per_seed", [])
        return np.array([x for x in found if x is not None], float)

    def headline(self) -> list[str]:
        """The main metrics; of runs that did not write which these are, the first three."""
        return self.summary.get("headline") or list(self.summary.get("metrics", {}))[:3]


def read(paths: Sequence[str], warn: Callable[[str], None]) -> list[PastRun]:
    """The runs in workdirs and in folders that hold some at any depth, each once.

    warn: told of runs in a folder that can't be read, which are left out. Raises FileNotFoundError
    or ValueError, in one line, for a path that holds no run or a workdir that can't be read.
    """
    found: dict[Path, bool] = {}  # workdir -> whether it was named itself
    for path in map(Path, paths):
        below = [path] if _is_run(path) else sorted(_below(path), key=_natural)
        if not below:
            what = "holds no run" if path.is_dir() else "is no folder"
            raise FileNotFoundError(f"{path} {what}: name workdirs of runs, or a folder of them")
        for workdir in below:
            found[workdir.resolve()] = found.get(workdir.resolve(), False) or workdir == path
    root = Path(os.path.commonpath([x.parent for x in found]))
    runs = []
    for workdir, named in found.items():
        try:
            runs.append(_read(workdir, workdir.relative_to(root).as_posix()))
        except (ValueError, FileNotFoundError) as error:
            if named:
                raise
            warn(f"left out: {error}")
    if not runs:
        raise ValueError(f"no run that can be read below {', '.join(paths)}")
    return runs


def _is_run(folder: Path) -> bool:
    made = (folder / "metadata.json").exists() or (folder / "facts.json").exists()
    return (folder / "summary.json").exists() or (made and (folder / "config.json").exists())


def _below(folder: Path) -> Iterable[Path]:
    """Workdirs below a folder; none is searched inside another."""
    for place, folders, _ in os.walk(folder):
        if _is_run(Path(place)):
            folders.clear()
            yield Path(place)


def _natural(path: Path) -> list[int | str]:
    """Sorts run_10 behind run_9."""
    return [int(x) if x.isdecimal() else x for x in re.split(r"(\d+)", path.as_posix())]


def _read(workdir: Path, name: str) -> PastRun:
    summary = _json(workdir / "summary.json") if (workdir / "summary.json").exists() else {}
    if summary:
        experiment, flags = summary.get("experiment"), summary.get("config")
        if not isinstance(experiment, str) or not isinstance(flags, Mapping):
            raise ValueError(f"{workdir}/summary.json is not that of a run")
    else:
        flags, metadata = workdirs.written(workdir)
        experiment = metadata.get("experiment", "unknown")
    curves: Mapping[str, Any] = {}
    seconds: Mapping[int, float] = {}
    if (workdir / "metrics.jsonl").exists():
        curves, seconds = report.read_metrics(workdir), report.read_seconds(workdir)
    pictures = {x.name: x for x in (workdir / "plots").glob("*") if x.suffix in PICTURES}
    flags = {**_complete(experiment, flags), **summary.get("chosen", {})}
    return PastRun(name, workdir, experiment, flags, summary, curves, seconds, pictures)


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from None


def _complete(experiment: str, flags: Mapping[str, Any]) -> Mapping[str, Any]:
    """The flags under the names of today, with the defaults of those that are newer than the run.

    Of an experiment that is not dljax's own, as they are.
    """
    known = config_type(experiment)
    if known is None:
        return flags
    defaults = {x.name: x.default for x in run_config.served(known)}
    return {**defaults, **run_config.renamed(known, flags)}


def config_type(experiment: str) -> type[run_config.Config] | None:
    """The Config of one of dljax's own experiments, None of another."""
    module = f"dljax.apps.configs.{experiment}"
    try:
        return importlib.import_module(module).Config
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None
