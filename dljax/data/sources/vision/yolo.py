"""YOLO: a text file per image, a line per object: class, and box or polygon as shares of the image.

- data.yaml with train, val, test (folders, lists of folders, or .txt lists of images) and names
- images/ and labels/, each perhaps with train/, val/, test/, or these with images/ and labels/
  inside, or images and text files side by side; names in data.yaml or classes.txt

A line is `class x y width height`, with the box's centre, or `class x1 y1 x2 y2 x3 y3 ...`, a
polygon, of which the box is taken (docs.ultralytics.com, datasets/detect and datasets/segment). An
empty file, or none, is an image without objects; both are said.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dljax.data.sources.layout import image_files
from dljax.data.sources.part_names import SPELLINGS, part_folders
from dljax.data.sources.vision.boxes import Annotated, BoxedImages, assemble, box_areas, check_boxes
from dljax.data.sources.vision.class_list import UNLABELLED, read_class_list
from dljax.data.sources.vision.letterbox import Fit, Size
from dljax.data.sources.vision.parts import (
    IMAGE_FOLDERS,
    Findings,
    Scoring,
    headers,
    read_text,
    stored_as,
    subfolder,
)

BEYOND = 2.0  # from here on a coordinate is no share that rounding took beyond 1


def read_yolo(
    path: str, size: Size, fit: Fit = "letterbox", scoring: Scoring | None = None
) -> BoxedImages:
    """Reads a YOLO folder, or its data.yaml.

    Raises ValueError: one line that names the file and what is wrong.
    """
    given = Path(path)
    root = given.parent if given.is_file() else given
    found = Findings(root)
    settings = given if given.is_file() else data_yaml(root)
    if settings is not None:
        classes, files = _from_yaml(settings, root)
    else:
        classes, files = _names_beside(root), _from_folders(root)
    label_files = {
        image: label_file(image, part, root) for part, images in files.items() for image in images
    }
    if not any(file.is_file() for file in label_files.values()):
        example = next(iter(label_files.values()), root / "labels")
        raise ValueError(f"{root}: no image has a label file, such as {example}.")
    sizes = headers(list(label_files))
    parts = {
        part: [
            _annotated(image, label_files[image], sizes[image], classes, found) for image in images
        ]
        for part, images in files.items()
    }
    _say_orphans(label_files, found)
    return assemble(parts, classes, size, fit, found, scoring=scoring)


def data_yaml(root: Path) -> Path | None:
    """The YAML file of a folder that has names or train; ValueError where there are two."""
    files = [
        file
        for file in sorted((*root.glob("*.yaml"), *root.glob("*.yml")))
        if {"names", "train"} & set(_load(file))
    ]
    if len(files) > 1:
        names = " and ".join(file.name for file in files)
        raise ValueError(f"{root} has {names}: name one of them.")
    return files[0] if files else None


def label_file(image: Path, part: str, root: Path) -> Path:
    """Where the labels of an image lie: labels/ for the last images/ of its path, or beside it."""
    folders = list(image.parent.relative_to(root).parts) if image.is_relative_to(root) else []
    base = root if image.is_relative_to(root) else image.parent
    for index in range(len(folders) - 1, -1, -1):
        if folders[index].lower() in IMAGE_FOLDERS:
            home = base.joinpath(*folders[:index])
            labels = subfolder(home, ("labels", "label", "annotations"))
            if labels is not None:
                return labels.joinpath(*folders[index + 1 :], f"{image.stem}.txt")
    if not image.is_relative_to(root) and image.parent.name.lower() in IMAGE_FOLDERS:
        return image.parent.parent / "labels" / f"{image.stem}.txt"
    beside = image.parent.parent / "labels" / f"{image.stem}.txt"
    return image.with_suffix(".txt") if not beside.is_file() else beside


def read_labels(
    file: Path, classes: Sequence[str], found: Findings
) -> tuple[list[int], np.ndarray]:
    """(classes, boxes float64 [n, 4] of corners as shares) of a text file.

    Raises ValueError, with file and line, for what is no label of YOLO's.
    """
    numbers, boxes = [], []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        words, where = line.split(), f"{file}, line {number}"
        if not words:
            continue
        try:
            values = [float(word) for word in words]
        except ValueError:
            raise ValueError(f"{where} is no row of numbers: {line.strip()[:60]!r}.") from None
        if not values[0].is_integer() or not 0 <= values[0] < len(classes):
            raise ValueError(
                f"{where}: the class {words[0]} is none of 0 to {len(classes) - 1} "
                f"({len(classes)} names)."
            )
        shares = np.array(values[1:])
        if len(shares) == 5:
            raise ValueError(
                f"{where} has six numbers: a prediction with its confidence? A label has five."
            )
        if len(shares) != 4 and (len(shares) < 6 or len(shares) % 2):
            raise ValueError(
                f"{where} has {len(words)} numbers: class x y width height, or a class and the "
                "corners of a polygon."
            )
        if not np.isfinite(shares).all() or np.abs(shares).max() >= BEYOND:
            raise ValueError(
                f"{where}: coordinates are shares of the image, from 0 to 1, not "
                f"{words[1 + int(np.nanargmax(np.abs(shares)))]}; pixels?"
            )
        if len(shares) == 4:
            x, y, width, height = shares
            boxes.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
        else:
            found.saw("polygons are taken as their boxes", file)
            corners = shares.reshape(-1, 2)
            boxes.append([*corners.min(0), *corners.max(0)])
        numbers.append(int(values[0]))
    return numbers, np.array(boxes, np.float64).reshape(-1, 4)


def _annotated(
    image: Path, file: Path, header, classes: Sequence[str], found: Findings
) -> Annotated:
    size, upright = stored_as(image, header, None, found)
    numbers, shares = [], np.zeros((0, 4))
    if file.is_file():
        numbers, shares = read_labels(file, classes, found)
    else:
        found.saw("images have no label file: they are taken as images without objects", image)
    pixels = shares * [size[1], size[0], size[1], size[0]]
    boxes, keep = check_boxes(pixels, size, file, found)
    boxes, kept = boxes[keep], np.flatnonzero(keep)
    return Annotated(
        file=image,
        size=size,
        boxes=boxes,
        names=tuple(classes[numbers[k]] for k in kept),
        flags=np.zeros(len(kept), np.uint8),
        areas=box_areas(boxes),
        id=Path(found.short(image)).with_suffix("").as_posix(),
        upright=upright,
    )


def _load(file: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"{file} is no readable YAML ({first}): repair or remove it.") from None
    return content if isinstance(content, dict) else {}


def _from_yaml(file: Path, root: Path) -> tuple[tuple[str, ...], dict[str, list[Path]]]:
    """(classes, {part: images}) of a data.yaml."""
    content = _load(file)
    names = content.get("names")
    if isinstance(names, dict):
        if sorted(map(str, names)) != sorted(map(str, range(len(names)))):
            raise ValueError(f"{file}: names must be numbered from 0 without gaps.")
        names = [names.get(k, names.get(str(k))) for k in range(len(names))]
    if not isinstance(names, list) or not names:
        raise ValueError(f"{file} has no names of classes.")
    count = content.get("nc", len(names))
    if str(count) != str(len(names)):
        raise ValueError(f"{file}: nc is {count}, but there are {len(names)} names.")
    classes = _unique([str(name).strip() for name in names], file)
    base = root / str(content["path"]) if content.get("path") else root
    if not base.is_dir():
        base = root
    files = {}
    for part, words in SPELLINGS.items():
        given = next((content[word] for word in words if content.get(word)), None)
        places = given if isinstance(given, list) else [given] if given else []
        files[part] = [x for place in places for x in _images(str(place), base, root, file)]
    return classes, {part: images for part, images in files.items() if images}


def _images(place: str, base: Path, root: Path, settings: Path) -> list[Path]:
    """The images of one entry of a data.yaml: of a folder, or listed in a .txt file."""
    # Exports often say ../train/images for train/images, which YOLO's own reader forgives too.
    spellings = (base / place, root / place, root / place.removeprefix("../"))
    path = next((x for x in spellings if x.exists()), None)
    if path is None:
        raise ValueError(f"{settings} names {place}, and there is no {base / place}.")
    path = path.resolve() if ".." in path.parts else path
    if path.is_dir():
        return image_files(path)
    listed = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    images = [path.parent / line if line.startswith("./") else base / line for line in listed]
    missing = [str(image) for image in images if not image.is_file()]
    if missing:
        raise ValueError(f"{path} lists {len(missing)} images that are missing: {missing[0]}.")
    return images


def _from_folders(root: Path) -> dict[str, list[Path]]:
    """{part: images}: of train/, val/, test/ in the root or in images/, or all as 'train'."""
    pictures = subfolder(root, IMAGE_FOLDERS)
    for home in (root, pictures):
        folders = part_folders(home) if home else {}
        files = {part: image_files(folder) for part, folder in folders.items()}
        files = {part: images for part, images in files.items() if images}
        if files:
            return files
    return {"train": image_files(pictures or root)}


def _names_beside(root: Path) -> tuple[str, ...]:
    """Names of a folder without data.yaml: of classes.txt, in the root or in labels/."""
    labels = subfolder(root, ("labels", "label", "annotations"))
    listed = read_class_list(root) or (read_class_list(labels) if labels else None)
    if listed is None:
        raise ValueError(
            f"{root} has no names of classes: add data.yaml (names: [...]) or classes.txt."
        )
    if None in listed.ids.values():
        none = ", ".join(UNLABELLED)
        raise ValueError(f"{listed.file}: a box can't be of a class named {none}.")
    return listed.names


def _unique(names: list[str], file: Path) -> tuple[str, ...]:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{file} has the name {twice[0]!r} twice.")
    return tuple(names)


def _say_orphans(label_files: dict[Path, Path], found: Findings) -> None:
    """Says which label files have no image."""
    known = {file.resolve() for file in label_files.values()}
    for folder in sorted({file.parent for file in label_files.values() if file.parent.is_dir()}):
        for file in sorted(folder.glob("*.txt")):
            if file.resolve() not in known and file.stem.lower() not in ("classes", "labels"):
                found.saw("label files have no image and are left out", file)
