"""The log of a drive: a CSV with a picture's path, the steering, perhaps time and speed, a row.

Udacity's simulator writes no header (some who share its recordings add one), the columns of
UDACITY, and the paths of the recorder's disk, of Windows or not: a picture is found by its name
beside the CSV. Other logs name their columns (COLUMNS). A drive ends where time jumps: the
simulator appends the next recording to the same file.
"""

from __future__ import annotations

import csv
import functools
import itertools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dljax.data.sources.image import SUFFIXES
from dljax.data.sources.layout import some
from dljax.data.sources.notation import numbers
from dljax.data.sources.number_cells import is_number
from dljax.data.sources.table import Table, parse_table, shown

UDACITY = ("center", "left", "right", "steering", "throttle", "brake", "speed")
CAMERAS = ("center", "left", "right")
COLUMNS = {
    "center": ("center", "centre", "center_image", "frame", "image", "img", "picture", "file",
               "filename", "file_name", "path", "image_path", "image_file", "frame_path"),
    "left": ("left", "left_image"),
    "right": ("right", "right_image"),
    "steering": ("steering", "steering_angle", "angle", "steer"),
    "time": ("time", "timestamp", "stamp", "seconds", "t"),
    "speed": ("speed", "velocity"),
}  # fmt: skip
PLACES = ("IMG", "img", "images", "frames", ".")  # beside the CSV, where pictures lie
STAMP = re.compile(r"_(\d{4}_\d\d_\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d{1,3})\.\w+$")  # of Udacity's names
JUMP = 50  # times the median step: a new drive begins


class Recording(NamedTuple):
    """One drive of T stamps in the order of time.

    name: for messages. cameras: 'center', perhaps 'left' and 'right' -> path of each picture.
    steering: float64 [T] in the log's unit. time: float64 [T] since the first stamp, in seconds or
    the log's unit, or None. speed: likewise. log, lines [T]: where each stamp stands.
    """

    name: str
    cameras: Mapping[str, tuple[str, ...]]
    steering: np.ndarray
    time: np.ndarray | None
    speed: np.ndarray | None
    log: str
    lines: np.ndarray

    @property
    def stamps(self) -> int:
        """Their number."""
        return len(self.steering)

    def cut(self, picked: slice) -> Recording:
        """The stamps of a slice."""
        return self._replace(
            cameras={name: files[picked] for name, files in self.cameras.items()},
            steering=self.steering[picked],
            time=None if self.time is None else self.time[picked],
            speed=None if self.speed is None else self.speed[picked],
            lines=self.lines[picked],
        )


def read_log(path: Path, name: str) -> tuple[list[Recording], tuple[str, ...]]:
    """The drives in a CSV, and notes on how it was read.

    Raises ValueError, in one line, for a column that is missing or there twice, steering that is no
    number, a row of another width, a picture that is not there.
    """
    table = _table(path)
    columns = {role: found for role in COLUMNS if (found := _column(table, role))}
    for role, what in (("center", "picture"), ("steering", "steering")):
        if role not in columns:
            raise ValueError(
                f"{path} has no column with the {what} among {some(list(table.cells), 12)}: name "
                f"it {' or '.join(COLUMNS[role][:5])}."
            )
    steering, notes = _numbers(table, columns["steering"])
    speed = _numbers(table, columns["speed"])[0] if "speed" in columns else None
    cameras, more = _pictures(path, table, {x: columns[x] for x in CAMERAS if x in columns})
    time = _time(table, columns, cameras["center"])
    whole = Recording(name, cameras, steering, time, speed, str(path), table.lines)
    drives = _drives(whole)
    notes = (*table.notes, *notes, *more)
    if len(drives) > 1:
        notes += (f"{path}: time jumps, so it is taken for {len(drives)} drives",)
    return drives, notes


def _table(path: Path) -> Table:
    content = path.read_bytes()
    first = content.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", "replace")
    cells = [cell.strip() for cell in next(csv.reader([first]), [])]
    pictures = [Path(cell).suffix.lower() in SUFFIXES for cell in cells]
    if not any(pictures):
        return parse_table(content, str(path))
    if pictures[:3] != [True] * 3 or len(cells) < len(UDACITY):
        raise ValueError(
            f"{path}, line 1: {len(cells)} cells and no header: a log without one has "
            f"{', '.join(UDACITY)}; add a first line of column names, such as frame,steering."
        )
    return parse_table(content, str(path), UDACITY)


def _column(table: Table, role: str) -> str:
    """The column of a role, '' without one; of several pictures, the one with endings of images."""
    plain = {re.sub(r"[\s-]+", "_", name.strip().lower()): name for name in table.cells}
    found = [plain[name] for name in COLUMNS[role] if name in plain]
    if role in CAMERAS and len(found) > 1:
        paths = [x for x in found if Path(table.cells[x][0]).suffix.lower() in SUFFIXES]
        found = paths if len(paths) == 1 else found
    if len(found) > 1:
        what = "picture" if role == "center" else role
        raise ValueError(
            f"{table.name}: {' and '.join(found)} may each be the {what}: rename or remove one."
        )
    return found[0] if found else ""


def _numbers(table: Table, column: str) -> tuple[np.ndarray, tuple[str, ...]]:
    values, notes = numbers(table, column)
    missing = np.isnan(values)
    if missing.any():
        row = int(missing.argmax())
        raise ValueError(
            f"{table.name}, line {table.lines[row]}: {column} is {shown(table.cells[column][row])} "
            f"({missing.sum()} in all): write a number, or delete the row."
        )
    return values, notes


def _pictures(
    path: Path, table: Table, columns: Mapping[str, str]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """The path of each camera's pictures; a side camera without a single one is left out."""
    places = [x for x in PLACES if (path.parent / x).is_dir()]
    find, cameras, notes = _finder(path.parent, places), {}, []
    for camera, column in columns.items():
        cells = table.cells[column].tolist()
        files = [find(cell) for cell in cells]
        missing = [i for i, file in enumerate(files) if file is None]
        if camera != "center" and len(missing) == len(files):
            notes.append(f"{path}: there are no pictures of the {camera} camera")
            continue
        if missing:
            row = missing[0]
            name = re.split(r"[\\/]", cells[row])[-1]
            looked = [f"{x}/" for x in places if x != "."] or [str(path.parent)]
            raise ValueError(
                f"{path}, line {table.lines[row]}: there is no picture {shown(name)} in "
                f"{some(looked)} ({len(missing)} of {len(files)} are missing): copy it there, or "
                "delete the row."
            )
        cameras[camera] = tuple(files)
    return cameras, tuple(notes)


def _finder(folder: Path, places: Sequence[str]) -> Callable[[str], str | None]:
    """A function from a cell to the picture that it names: by its path from the CSV's folder, else
    by its name in one of the places. Each folder is listed once."""

    @functools.cache
    def listed(place: Path) -> dict[str, str]:
        """The pictures of a folder by name, and by what stands before the ending."""
        entries = list(os.scandir(place)) if place.is_dir() else []
        images = [x for x in entries if Path(x.name).suffix.lower() in SUFFIXES]
        return {Path(x.name).stem: x.path for x in images} | {x.name: x.path for x in images}

    def find(cell: str) -> str | None:
        parts = re.split(r"[\\/]", cell.strip())
        inner = [folder.joinpath(*parts[:-1])] if parts[0] and ":" not in parts[0] else []
        for place in (*inner, *(folder / x for x in places)):
            if found := listed(place).get(parts[-1]):
                return found
        return None

    return find


def _time(table: Table, columns: Mapping[str, str], pictures: tuple[str, ...]) -> np.ndarray | None:
    """Of the column of times, else of Udacity's names of files; from the first stamp on."""
    if "time" in columns:
        cells = table.cells[columns["time"]]
        if all(map(is_number, cells.tolist())):
            time = _numbers(table, columns["time"])[0]
        else:
            time = _dates(table, columns["time"])
    else:
        found = [STAMP.search(file) for file in pictures]
        if not all(found):
            return None
        texts = [f"{x[1].replace('_', '-')}T{x[2]}:{x[3]}:{x[4]}.{x[5]:0>3}" for x in found]
        time = _seconds(np.array(texts, "datetime64[ms]"))
    return time - time[0]


def _dates(table: Table, column: str) -> np.ndarray:
    """Dates with a clock, in seconds."""
    stamps = []
    for line, cell in zip(table.lines, table.cells[column].tolist(), strict=True):
        try:
            stamps.append(np.datetime64(cell.removesuffix("Z"), "ms"))
        except ValueError:
            raise ValueError(
                f"{table.name}, line {line}: {column} is {shown(cell)}: write seconds or "
                "2020-01-31T12:00:00.5, or leave the column out."
            ) from None
    return _seconds(np.array(stamps))


def _seconds(stamps: np.ndarray) -> np.ndarray:
    """Seconds since the first of some datetime64[ms]."""
    return (stamps - stamps[0]).astype(np.int64) / 1000


def _drives(whole: Recording) -> list[Recording]:
    """The recording cut where time goes back or jumps."""
    if whole.time is None or whole.stamps < 3:
        return [whole]
    steps = np.diff(whole.time)
    usual = np.median(steps[steps > 0]) if (steps > 0).any() else np.inf
    cuts = np.flatnonzero((steps < 0) | (steps > JUMP * usual)) + 1
    if len(cuts) == 0:
        return [whole]
    bounds = [0, *cuts.tolist(), whole.stamps]
    pieces = [whole.cut(slice(a, b)) for a, b in itertools.pairwise(bounds)]
    return [
        piece._replace(name=f"{whole.name}, drive {i}", time=piece.time - piece.time[0])
        for i, piece in enumerate(pieces, 1)
    ]
