"""A workdir and what lies in it besides checkpoints: config.json and metadata.json."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dljax.data import record
from dljax.run.config import Config, differences, same_path, to_json
from dljax.run.experiment import Analysis, Experiment
from dljax.run.sweep import Chosen
from dljax.train.files import write_json
from dljax.train.parallel import gathered, gathered_texts

LEFT_BEHIND = (
    "checkpoints",
    "tensorboard",
    "plots",
    "predictions",
    "evaluations",
    "samples",
    "snapshots",
    "per_class.csv",
    "confusion.csv",
    "config.json",
    "metadata.json",
    "facts.json",  # metadata.json's name before
    "metrics.jsonl",
    "metrics.csv",
    "wandb",
    "wandb_id.txt",
    "summary.json",
)


def written(workdir: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and metadata.json of a run."""
    try:
        found = json.loads((workdir / "config.json").read_text()), _read_metadata(workdir)
        if not all(isinstance(values, dict) for values in found):
            raise ValueError("it holds no JSON object")
        return found
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{workdir} holds no run: train first, or name another --workdir"
        ) from None
    except ValueError as error:
        raise ValueError(
            f"{workdir} has a damaged config.json or metadata.json ({error})"
        ) from None


def _read_metadata(workdir: Path) -> dict[str, Any]:
    path = workdir / "metadata.json"
    return json.loads((path if path.exists() else workdir / "facts.json").read_text())


def chosen_members(config: Config, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    if "sweep" not in metadata:
        raise ValueError(
            f"the sweep in {config.workdir} has not come to its end, so no value is chosen yet"
        )
    return metadata["sweep"]


def check_name(name: str, workdir: str | Path, metadata: Mapping[str, Any]) -> None:
    found = metadata.get("experiment", name)
    if found != name:
        raise ValueError(f"{workdir} holds a run of {found}, not of {name}: name another --workdir")


def check_flags(config: Config) -> None:
    """Refuses, where there are several processes, flags that are not those of the first one."""
    first = json.loads(gathered_texts(json.dumps(to_json(config)))[0])
    if lines := differences(first, config):
        names = ", ".join(f"--{line.partition(':')[0]}" for line in lines)
        raise ValueError(
            f"{names} of process {jax.process_index()} differs from that of process 0: "
            "start all with the same command"
        )


def check_shared(workdir: Path) -> None:
    """Refuses, in all processes, a workdir that is not the same folder for all of them."""
    if jax.process_count() == 1:
        return
    first = jax.process_index() == 0
    marker = workdir / f".shared-{gathered(secrets.randbits(31))[0]}"
    if first:
        workdir.mkdir(parents=True, exist_ok=True)
        marker.touch()
    gathered(0)  # all wait for the first one
    seen = gathered(_appears(marker))
    if first:
        marker.unlink()
    if not seen.all():
        others = ", ".join(map(str, np.flatnonzero(seen == 0)))
        raise ValueError(
            f"--workdir={workdir} is another folder in process {others} than in process 0: "
            "all processes need one that they share, given by its full path"
        )


def _appears(path: Path) -> bool:
    """Whether a file is there, within the seconds that a network's file system may take."""
    end = time.monotonic() + 5
    while not (found := path.exists()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def goes_on(workdir: Path, config: Config) -> bool:
    """Whether a start with this Config continues a run that is there."""
    checkpoints = any((workdir / "checkpoints").glob("[0-9]*"))
    return checkpoints and not config.overwrite and (workdir / "config.json").exists()


def check(workdir: Path, config: Config) -> None:
    """Refuses what can be refused before the data is read, and changes nothing.

    ValueError for a run of another experiment or with other flags (but for --dataset, as the data
    itself counts), OSError for a folder that cannot be written.
    """
    there = next(path for path in (workdir, *workdir.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "a workdir is a folder, not a file", str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "the workdir cannot be written", str(there))
    if goes_on(workdir, config):
        before, _ = _begun(workdir, config.name)
        _refuse(workdir, differences(before, config))


def _begun(workdir: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and metadata.json of the experiment's run that goes on."""
    try:
        before, metadata = written(workdir)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"{error}: --overwrite starts anew") from None
    check_name(name, workdir, metadata)
    return before, metadata


def _refuse(workdir: Path, lines: Sequence[str]) -> None:
    """ValueError that says all of what differs from the run that is there."""
    if lines:
        raise ValueError(
            f"{workdir} holds a run of another configuration or of other data "
            f"({'; '.join(lines)}): use its flags and data, another --workdir, or --overwrite "
            "to start anew"
        )


def claim(workdir: Path, config: Config, experiment: Experiment) -> None:
    """Makes the workdir this run's, or refuses, naming what differs from the run that is there."""
    if config.overwrite:
        for name in LEFT_BEHIND:
            target = workdir / name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    begun = goes_on(workdir, config)
    if begun:
        before, metadata = _begun(workdir, experiment.name)
        lines = _data_differences(before, metadata, config, experiment)
        _refuse(workdir, differences(before, config) + lines)
    write_json(workdir / "config.json", to_json(config))
    if not begun or not (workdir / "metadata.json").exists():
        write_metadata(workdir, experiment, None, Analysis({}))


def _data_differences(
    before: Mapping[str, Any], metadata: Mapping[str, Any], config: Config, experiment: Experiment
) -> list[str]:
    """How the data differs from that of the run; for a run that kept no fingerprint, its name."""
    if experiment.data is None:
        return []
    old, new = before.get("dataset"), getattr(config, "dataset", None)
    same = not old or old == new or same_path(old, new)
    named = [] if same else [f"dataset: {old!r} then, {new!r} now"]
    if "data" not in metadata:
        return named
    found = record.differences(metadata["data"], experiment.data.fingerprint(metadata["data"]))
    more = [f"and {len(found) - 3} more"] if len(found) > 3 else []
    return named + found[:3] + more if found else []


def write_metadata(
    workdir: Path, experiment: Experiment, chosen: Chosen | None, analysis: Analysis
) -> None:
    values: dict[str, Any] = {"experiment": experiment.name}
    if experiment.data:
        before = {}
        with contextlib.suppress(OSError, ValueError):  # there is none, or it is damaged
            before = _read_metadata(workdir).get("data", {})
        values["data"] = experiment.data.fingerprint(before)
    if chosen:
        values["sweep"] = {"point": chosen.point, "members": chosen.members}
    write_json(workdir / "metadata.json", {**values, **experiment.metadata, **analysis.metadata})


def predictions_folder(workdir: str | Path, path: str | Path) -> Path:
    """workdir/predictions, for what --predict writes of the file or folder `path`.

    Raises ValueError for what lies in it itself: its predictions could overwrite it.
    """
    folder, source = Path(workdir) / "predictions", Path(path).expanduser()
    place = source if source.is_dir() else source.parent
    if source.exists() and place.resolve() == folder.resolve():
        raise ValueError(
            f"{path} lies where its predictions are written, in {folder}: move it elsewhere"
        )
    return folder


def evaluation_path(workdir: str | Path, data: str, label: str = "") -> Path:
    """The file of the scores on `data`: evaluations/NAME.json by the end of its path (label).

    Where the scores on other data lie there, more of the path is taken.
    """
    place = Path(label or data)
    parts = [re.sub(r"[^\w.-]+", "_", x) for x in place.parts or place.resolve().parts]
    for count in range(1, len(parts) + 1):
        path = Path(workdir) / "evaluations" / f"{'_'.join(parts[-count:])}.json"
        try:
            if json.loads(path.read_text()).get("data") == data:
                return path
        except (OSError, ValueError):  # there is none, or it is damaged
            return path
    return path
