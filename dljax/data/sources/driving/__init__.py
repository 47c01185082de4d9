"""Recordings of drives: pictures of the road with the steering of whoever drove.

    load_drives("driving/")           # train/ and test/, each with driving_log.csv and IMG/
    load_drives("driving_log.csv")    # one recording

What comes back is a `Drives`: recordings in the order of time, with the paths of their pictures,
which `frames.read` reads.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from dljax.data.sources.driving.log import Recording, read_log
from dljax.data.sources.layout import natural, some
from dljax.data.sources.part_names import part_folders

__all__ = ["Drives", "Recording", "load_drives"]

USUAL = "driving_log.csv"  # of Udacity's simulator
KINDS = (
    "a driving_log.csv of Udacity's simulator or a CSV with columns such as frame and steering, a "
    "folder with one, or a folder of such folders, also below train/ and test/"
)


class Drives(NamedTuple):
    """parts: 'train' alone, or the set's own parts. notes: lines for the user."""

    parts: dict[str, tuple[Recording, ...]]
    notes: tuple[str, ...]


def load_drives(dataset: str) -> Drives:
    """Finds the recordings of a data set and reads their logs, but no picture.

    Raises:
      FileNotFoundError, ValueError: one line that says what is wrong, where, and what to do.
    """
    root = Path(os.path.expanduser(dataset))
    if not root.exists():
        raise FileNotFoundError(f"There is no file or folder {dataset}: --dataset takes {KINDS}.")
    folders = part_folders(root)
    if folders and "train" not in folders:
        raise ValueError(f"{root} has {some([x.name for x in folders.values()])}/, but no train/.")
    parts, notes = {}, []
    if folders:
        used = {path.name for path in folders.values()}
        beside = [f"{x.name}/" for x in sorted(root.iterdir()) if x.is_dir() and x.name not in used]
        notes += [f"{root}: not used, beside its parts: {some(beside)}"] if beside else []
    for part, place in (folders or {"train": root}).items():
        found = [read_log(path, _named(path, root)) for path in _logs(place)]
        parts[part] = tuple(recording for recordings, _ in found for recording in recordings)
        notes += [note for _, more in found for note in more]
    return Drives(parts, tuple(dict.fromkeys(notes)))


def _logs(place: Path) -> list[Path]:
    """The CSV of a recording, or those of the folders below that hold one each."""
    if place.is_file():
        return [place]
    tables = [
        path
        for path in sorted(place.rglob("*.csv"), key=natural)
        if not any(x.startswith((".", "__MACOSX")) for x in path.relative_to(place).parts)
    ]
    if not tables:
        raise ValueError(f"{place} has no CSV: --dataset takes {KINDS}.")
    logs = []
    for folder in dict.fromkeys(path.parent for path in tables):
        inside = [path for path in tables if path.parent == folder]
        usual = [path for path in inside if path.name == USUAL] or inside
        if len(usual) > 1:
            raise ValueError(
                f"{folder} has {len(usual)} CSVs ({some([x.name for x in usual])}): give each "
                "recording a folder of its own, or name one of them."
            )
        logs += usual
    return logs


def _named(path: Path, root: Path) -> str:
    """What a recording is called: its folder within the set."""
    inside = path.parent.relative_to(root).as_posix() if root.is_dir() else "."
    return path.parent.resolve().name if inside == "." else inside
