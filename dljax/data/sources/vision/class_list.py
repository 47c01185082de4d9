"""Lists of classes in the forms that people have, with ids or colours where they give any.

classes.txt, labels.txt, class_dict.csv, labelmap.txt, ... with a class a line:

    road                    the first line is class 0, and so on
    7 road                  with its id in the masks; several ids may be 'ignore'
    road 128 64 128         with its colour in the masks, before or after the name; or
    road,128,64,128         in the form of class_dict.csv (name,r,g,b), or of CVAT's labelmap.txt

A class of a name in UNLABELLED is none: its pixels are ignored.
"""

import re
from pathlib import Path
from typing import NamedTuple

from dljax.data.sources.layout import some
from dljax.data.sources.vision.parts import read_text

FILES = ("classes", "labels", "class_dict", "labelmap", "label_colors", "codes", "class_names")
UNLABELLED = ("unlabelled", "unlabeled", "void", "ignore", "ignored", "ignore_label", "dontcare")

Colour = tuple[int, int, int]


class ClassList(NamedTuple):
    """names: of the classes, in order. ids: {id in the masks: index of the class, None: ignored}.

    colours: {colour in the masks: likewise}, empty where the list gives none. numbered: whether the
    list states ids, rather than their order being the ids. file: where it was read.
    """

    names: tuple[str, ...]
    ids: dict[int, int | None]
    colours: dict[Colour, int | None]
    numbered: bool
    file: Path


def read_class_list(folder: Path) -> ClassList | None:
    """The list of classes that lies in a folder; None where there is none.

    Raises ValueError where there are two, or one can't be understood.
    """
    files = [
        file
        for file in sorted(folder.iterdir() if folder.is_dir() else ())
        if file.stem.lower() in FILES and file.suffix.lower() in (".txt", ".csv") and file.is_file()
    ]
    if len(files) > 1:
        raise ValueError(f"{folder} has {some([x.name for x in files])}: keep one list of classes.")
    return parse_class_list(files[0]) if files else None


def parse_class_list(file: Path) -> ClassList:
    """Reads a list of classes; raises ValueError where it can't be understood."""
    rows = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        words = re.split(r"[,;:\t ]+", line.strip().strip(",;:").strip())
        header = [word.lower() for word in words]
        if not words[0] or words[0].startswith("#") or header[-3:] == ["r", "g", "b"]:
            continue
        rows.append(_row(words, f"{file}, line {number}"))
    if not rows:
        raise ValueError(f"{file} lists no class.")
    kinds = {(id_ is None, colour is None) for id_, _, colour in rows}
    if len(kinds) > 1:
        raise ValueError(f"{file}: some lines have an id or a colour and others have not.")
    names: list[str] = []
    ids: dict[int, int | None] = {}
    colours: dict[Colour, int | None] = {}
    for position, (id_, name, colour) in enumerate(rows):
        ignored = name.lower() in UNLABELLED
        if not ignored and name in names:
            raise ValueError(f"{file} lists the class {name!r} twice.")
        number = position if id_ is None else id_
        if number > 65535:
            raise ValueError(f"{file}: {name!r} has the id {number}; masks have 65535 at most.")
        index = None if ignored else len(names)
        if number in ids or (colour is not None and colour in colours):
            raise ValueError(f"{file}: {name!r} has the id or colour of another class.")
        ids[number] = index
        if colour is not None:
            colours[colour] = index
        if not ignored:
            names.append(name)
    if not names:
        raise ValueError(f"{file} lists no class but ignored ones.")
    return ClassList(tuple(names), ids, colours, rows[0][0] is not None, file)


def _row(words: list[str], where: str) -> tuple[int | None, str, Colour | None]:
    """(id, name, colour) of a line."""
    whole = [word.isdigit() for word in words]
    front = whole.index(False) if False in whole else len(words)
    back = whole[::-1].index(False) if False in whole else 0
    if front == len(words) and len(words) == 1:
        return None, words[0], None  # names that are numbers: '0' to '9'
    id_, colour, name = None, None, words[front : len(words) - back]
    if back == 3:
        colour, id_ = words[-3:], (int(words[0]) if front == 1 else None)
    elif front == 3 and back == 0:
        colour = words[:3]
    elif front == 1 and back == 0:
        id_ = int(words[0])
    elif front == 0 and back <= 1:
        name = words  # 'class 1' is a name
    else:
        name = []
    if not name or front not in (0, 1, 3) or (front == 3 and back):
        raise ValueError(
            f"{where} is not understood ({' '.join(words)!r}): "
            "a line is NAME, ID NAME, or NAME R G B."
        )
    if colour is not None and max(map(int, colour)) > 255:
        raise ValueError(f"{where}: a colour has levels from 0 to 255.")
    return id_, " ".join(name), None if colour is None else tuple(map(int, colour))
