"""COCO JSON: one file a part, with images, annotations and categories.

- annotations/instances_train2017.json beside train2017/ (or images/train2017/)
- train/_annotations.coco.json among the images of train/, likewise valid/ and test/
- one .json file, given itself or alone in a folder: a fifth of its images, by hash, is the test set

The part is told by the name of the file, or of its folder. `file_name` may have folders. Ids of
images and categories may have gaps and be numbers or strings. Boxes are [x, y, width, height] from
0 (cocodataset.org, data format); where one is missing, it is that of the segments.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.data.sources.layout import some
from dljax.data.sources.part_names import part_of, scored_part
from dljax.data.sources.vision.boxes import (
    CROWD,
    Annotated,
    BoxedImages,
    assemble,
    box_areas,
    check_boxes,
)
from dljax.data.sources.vision.coco_segments import segment_box
from dljax.data.sources.vision.letterbox import Fit, Size
from dljax.data.sources.vision.parts import (
    IMAGE_FOLDERS,
    Findings,
    Scoring,
    headers,
    stored_as,
)

KEYS = ("images", "annotations", "categories")


class Categories(NamedTuple):
    """Names in the order of their ids, and the ids."""

    names: tuple[str, ...]
    ids: tuple[int | str, ...]


class CocoFile(NamedTuple):
    """What one JSON file holds: 'images', 'annotations', 'categories' as they are."""

    file: Path
    content: dict[str, list[dict]]
    categories: Categories


def read_coco(
    path: str, size: Size, fit: Fit = "letterbox", scoring: Scoring | None = None
) -> BoxedImages:
    """Reads the boxes of a COCO JSON file, or of a folder with such files.

    Raises ValueError: one line that names the file and what is wrong.
    """
    parts, categories, found = read_parts(path, False, scoring)
    return assemble(parts, categories.names, size, fit, found, categories.ids, scoring)


def read_parts(
    path: str, segments: bool, scoring: Scoring | None = None
) -> tuple[dict[str, list[Annotated]], Categories, Findings]:
    """The annotated images of each part, and the categories of train.

    segments: keeps polygons and RLE, which need memory. scoring: one part alone is read.
    """
    root = Path(path)
    found = Findings(root.parent if root.is_file() else root)
    files = _files(root, found)
    if scoring:
        part = scored_part(files)
        files = {part: files[part]}
    loaded = {part: load_json(file, found) for part, file in files.items()}
    first = loaded.get("train") or next(iter(loaded.values()))
    for coco in loaded.values():
        strange = [name for name in coco.categories.names if name not in first.categories.names]
        if strange:
            raise ValueError(f"{coco.file} has categories that train lacks: {some(strange)}.")
        if coco.categories != first.categories:
            found.say(f"{coco.file.name} has other category ids than train: matched by name.")
    parts = {part: _annotated(coco, part, found, segments) for part, coco in loaded.items()}
    return parts, first.categories, found


def is_coco(file: Path) -> bool:
    """Whether a JSON file has COCO's keys, by its first and last parts alone where it is large."""
    size = file.stat().st_size
    with open(file, "rb") as opened:
        text = opened.read(1 << 20)
        opened.seek(max(0, size - (1 << 16)))
        text += opened.read()
    small = size <= 1 << 20
    keys = [f'"{key}"'.encode() in text for key in KEYS]
    return all(keys) if small else sum(keys) >= 2


def coco_files(root: Path) -> list[Path]:
    """The JSON files with COCO's keys in a folder, annotations/ and the folders of parts."""
    inner = [
        x
        for x in sorted(root.iterdir())
        if x.is_dir() and (x.name.lower() in ("annotations", "labels") or part_of(x.name))
    ]
    files = [x for folder in (root, *inner) for x in sorted(folder.glob("*.json"))]
    return [x for x in files if not x.name.startswith(".") and is_coco(x)]


def load_json(file: Path, found: Findings) -> CocoFile:
    """One file, its ids of images and categories checked to be there once.

    Raises ValueError, with the file's name, where it is no COCO JSON.
    """
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} is no readable JSON ({error}): repair or remove it.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} is no COCO JSON: it is a list, perhaps of results.")
    missing = [key for key in KEYS if not isinstance(content.get(key), list)]
    if missing:
        raise ValueError(f"{file} is no COCO JSON with annotations: it has no list {missing[0]!r}.")
    for kind, fields in (("images", ("id", "file_name")), ("categories", ("id", "name"))):
        seen = set()
        for number, entry in enumerate(content[kind]):
            if not isinstance(entry, dict) or any(entry.get(field) is None for field in fields):
                raise ValueError(f"{file}: {kind}[{number}] lacks 'id' or {fields[1]!r}.")
            if _key(entry["id"]) in seen:
                raise ValueError(f"{file}: the id {entry['id']!r} is there twice in {kind}.")
            seen.add(_key(entry["id"]))
    if not content["categories"]:
        raise ValueError(f"{file} has no categories.")
    entries = sorted(content["categories"], key=lambda x: _order(x["id"]))
    names = tuple(str(entry["name"]).strip() for entry in entries)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{file}: two categories are named {twice[0]!r}: rename or join them.")
    return CocoFile(file, content, Categories(names, tuple(entry["id"] for entry in entries)))


def _files(root: Path, found: Findings) -> dict[str, Path]:
    """{part: JSON file}; a single file is 'train'."""
    if root.is_file():
        return {"train": root}
    files = [x for x in coco_files(root) if not x.name.lower().startswith("image_info")]
    instances = [x for x in files if x.name.lower().startswith("instances")]
    if instances and len(instances) < len(files):
        left = [found.short(x) for x in files if x not in instances]
        found.say(f"beside instances_*.json not read: {some(left)}.")
        files = instances
    if not files:
        raise ValueError(f"{root} has no COCO JSON with images, annotations and categories.")
    parts: dict[str, Path] = {}
    for file in files:
        words = re.findall(r"[a-z]+", file.stem.lower())
        named = {part for part in map(part_of, words) if part}
        part = named.pop() if len(named) == 1 else part_of(file.parent.name)
        if part is None and len(files) == 1:
            part = "train"
        if part is None:
            raise ValueError(
                f"{root}: the part of {found.short(file)} is not told by its name: rename it "
                "train.json, val.json or test.json, or name one file."
            )
        if part in parts:
            raise ValueError(
                f"{root}: {found.short(parts[part])} and {found.short(file)} are both for {part}: "
                "remove one, or name one file."
            )
        parts[part] = file
    return parts


def _annotated(coco: CocoFile, part: str, found: Findings, segments: bool) -> list[Annotated]:
    by_image: dict[str, list[dict]] = defaultdict(list)
    known = {_key(entry["id"]) for entry in coco.content["images"]}
    for number, entry in enumerate(coco.content["annotations"]):
        if not isinstance(entry, dict) or "image_id" not in entry or "category_id" not in entry:
            raise ValueError(
                f"{coco.file}: annotations[{number}] lacks 'image_id' or 'category_id'."
            )
        if _key(entry["image_id"]) not in known:
            raise ValueError(
                f"{coco.file}: annotations[{number}] is of the image {entry['image_id']!r}, which "
                "is not among its images."
            )
        by_image[_key(entry["image_id"])].append(entry)
    files = _image_files(coco, part, found)
    sizes = headers(list(files.values()))
    category = {
        _key(id_): name
        for id_, name in zip(coco.categories.ids, coco.categories.names, strict=True)
    }
    items = []
    for entry in coco.content["images"]:
        file = files.get(_key(entry["id"]))
        if file is not None:
            annotations = by_image[_key(entry["id"])]
            size, upright = stored_as(file, sizes[file], _stated(entry, coco.file), found)
            where = f"{found.short(coco.file)}, image {entry['id']!r} ({entry['file_name']})"
            items.append(
                _item(annotations, category, file, size, where, found, segments)._replace(
                    id=entry["id"], upright=upright
                )
            )
    return items


def _item(
    annotations: Sequence[dict],
    category: Mapping[str, str],
    file: Path,
    size: Size,
    where: str,
    found: Findings,
    segments: bool,
) -> Annotated:
    boxes, names, flags, areas, shapes = [], [], [], [], []
    for entry in annotations:
        name = category.get(_key(entry["category_id"]))
        if name is None:
            raise ValueError(
                f"{where}: the category {entry['category_id']!r} is not among its categories."
            )
        box = _box(entry, size, where, found)
        area = entry.get("area")
        crowd = str(entry.get("iscrowd", 0)).strip().lower() in ("1", "true")
        boxes.append(box)
        names.append(name)
        flags.append(CROWD if crowd else 0)
        areas.append(float(area) if isinstance(area, int | float) and area > 0 else np.nan)
        shapes.append(entry.get("segmentation") if segments else None)
    clipped, keep = check_boxes(np.array(boxes, np.float64), size, where, found)
    kept = np.flatnonzero(keep)
    boxes, areas = clipped[kept], np.array(areas, np.float64)[kept]
    return Annotated(
        file=file,
        size=size,
        boxes=boxes,
        names=tuple(names[k] for k in kept),
        flags=np.array(flags, np.uint8)[kept],
        areas=np.where(np.isnan(areas), box_areas(boxes), areas),
        id="",
        segments=tuple(shapes[k] for k in kept) if segments else (),
    )


def _box(entry: dict, size: Size, where: str, found: Findings) -> list[float]:
    """x1, y1, x2, y2 of an annotation."""
    box = entry.get("bbox")
    if not box and entry.get("segmentation"):
        found.saw("annotations have no bbox: it is taken of their segments", where)
        return segment_box(entry["segmentation"], size, where)
    try:
        x, y, width, height = map(float, box)
    except (TypeError, ValueError):
        raise ValueError(
            f"{where}: an annotation has the bbox {box!r}, not [x, y, width, height]."
        ) from None
    return [x, y, x + width, y + height]


def _stated(entry: dict, file: Path) -> Size | None:
    """The (height, width) that an image's entry gives."""
    height, width = entry.get("height"), entry.get("width")
    if height is None or width is None:
        return None
    try:
        height, width = int(height), int(width)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"{file}: the image {entry['id']!r} has the size {width!r} x {height!r}."
        ) from None
    return (height, width) if height > 0 and width > 0 else None


def _image_files(coco: CocoFile, part: str, found: Findings) -> dict[str, Path]:
    """{id: image file}, all in one of the usual folders: the one that has most of them."""
    entries = coco.content["images"]
    names = [str(entry["file_name"]).strip() for entry in entries]
    candidates = [
        {
            _key(entry["id"]): path
            for entry, name in zip(entries, names, strict=True)
            if (path := _below(folder, name)) is not None
        }
        for folder in _folders(coco.file, part)
    ]
    files = max(candidates, key=len, default={})
    missing = [
        name for entry, name in zip(entries, names, strict=True) if _key(entry["id"]) not in files
    ]
    folder = coco.file.parent
    found.leave_out(
        missing,
        len(entries),
        f"images of {coco.file.name} are missing",
        f"They are sought in {folder}, beside it, in images/ and in {part}/.",
    )
    twice = len(files) - len(set(files.values()))
    if twice:
        raise ValueError(f"{coco.file}: {twice} images have the file of another one.")
    return files


def _below(folder: Path, name: str) -> Path | None:
    for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
        path = folder / spelling
        if path.is_file():
            return path
    return None


def _folders(file: Path, part: str) -> list[Path]:
    """Where the images of a JSON file may lie, the likeliest first."""
    home = file.parent
    roots = [home, home.parent] if home.name.lower() in ("annotations", "labels") else [home]
    stem = re.sub(r"^(instances|annotations)_+", "", file.stem.lower())
    folders = []
    for root in roots:
        inner = [x for x in sorted(root.iterdir()) if x.is_dir()] if root.is_dir() else []
        pictures = [x for x in inner if x.name.lower() in IMAGE_FOLDERS]
        deeper = [y for x in pictures for y in sorted(x.iterdir()) if y.is_dir()]
        for near in (inner, deeper):
            folders += [x for x in near if x.name.lower() in (stem, file.stem.lower())]
            folders += [x for x in near if part_of(x.name) == part]
        folders += [*pictures, root]
    return list(dict.fromkeys(folders))


def _key(id_: Any) -> str:
    """An id as text, by which 1, 1.0 and '1' are the same."""
    return str(int(id_)) if isinstance(id_, float) and id_.is_integer() else str(id_).strip()


def _order(id_: Any) -> tuple:
    """Numbers by size, then texts."""
    text = _key(id_)
    return (0, int(text), "") if text.lstrip("-").isdigit() else (1, 0, text)
