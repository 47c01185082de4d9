"""Folders of classes, one folder a class, directly or below train/, test/ and val/."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dljax.data.sources.layout import some
from dljax.data.sources.part_names import SPELLINGS, part_folders, part_of, resembles_part

HIDDEN = (".", "__MACOSX")  # beginnings of names that are never looked at


class Divided(NamedTuple):
    """parts: the folders whose folders are classes; the root alone, as train, if there are none.

    notes: lines for the user.
    """

    parts: dict[str, Path]
    notes: tuple[str, ...]


def divide(root: Path, hidden: tuple[str, ...] = HIDDEN) -> Divided:
    """Where the classes of a folder lie.

    It is divided into parts if it has a train/ with folders in it; parts have their names in any
    case and in the usual words (`part_names`). hidden: beginnings of names that don't count.
    Raises ValueError for two folders of one part, and where folders that would be classes are
    named like parts.
    """
    found, inside = part_folders(root), _folders(root, hidden)
    if "train" in found and _folders(found["train"], hidden):
        parts = {part: found[part] for part in SPELLINGS if part in found}
        used = some([f"{path.name}/" for path in parts.values()])
        unused = [f"{path.name}/" for path in inside if path not in parts.values()]
        return Divided(parts, (f"not used, beside {used}: {some(unused)}",) if unused else ())
    nested = [path.name for path in inside if part_of(path.name) and _folders(path, hidden)]
    if nested:
        raise ValueError(
            f"{root} has {nested[0]}/ with folders in it, but no train/: put the folders of the "
            "classes into train/."
        )
    alike = {path.name: part for path in inside if (part := resembles_part(path.name))}
    if len(set(alike.values())) > 1 or (alike and len(alike) == len(inside)):
        raise ValueError(
            f"{root}: {some([f'{name}/' for name in alike])} are named like parts of a data set, "
            "not like classes: name them train/ and test/, and put a folder for each class into "
            "both."
        )
    notes = (f"{root}: {some(list(alike))} is taken for a class, whatever its name.",)
    return Divided({"train": root}, notes if alike else ())


def _folders(path: Path, hidden: tuple[str, ...]) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones."""
    return sorted(x for x in path.iterdir() if x.is_dir() and not x.name.startswith(hidden))
