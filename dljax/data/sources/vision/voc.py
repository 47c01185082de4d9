"""Pascal VOC: an XML file per image, in the layouts that people have.

- Annotations/, JPEGImages/ (or images/) and perhaps ImageSets/Main/train.txt, val.txt, test.txt
- train/, valid/, test/, each with images and XML files side by side or in folders as above
- images and XML files side by side in one folder

An image is found by the name of its XML file, else by <filename>, with any ending. Boxes count
pixels from 1 and include the last one: xmin 1, xmax 640 is the whole width (Everingham et al. 2010,
VOC development kit, section 2.2). A set in which a 0 occurs counts from 0, and this is said.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from dljax.data.sources.layout import some
from dljax.data.sources.part_names import part_folders
from dljax.data.sources.vision.boxes import (
    DIFFICULT,
    Annotated,
    BoxedImages,
    assemble,
    box_areas,
    check_boxes,
)
from dljax.data.sources.vision.class_list import read_class_list
from dljax.data.sources.vision.letterbox import Fit, Size
from dljax.data.sources.vision.parts import (
    IMAGE_FOLDERS,
    Findings,
    Scoring,
    by_stem,
    folder_like,
    headers,
    split_lists,
    stored_as,
    subfolder,
)

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class Annotation(NamedTuple):
    """One XML file: boxes float64 [n, 4] as written. size: (height, width), None if not given."""

    file: Path
    filename: str
    size: Size | None
    boxes: np.ndarray
    names: tuple[str, ...]
    difficult: tuple[bool, ...]


def read_voc(
    root: str, size: Size, fit: Fit = "letterbox", scoring: Scoring | None = None
) -> BoxedImages:
    """Reads a Pascal VOC folder; classes are those of classes.txt or labels.txt, or of train.

    Raises ValueError: one line that names the file and what is wrong.
    """
    folder = _devkit(Path(root))
    found = Findings(root)
    listed = read_class_list(folder)
    parts = {part: _pairs(where, found) for part, where in part_folders(folder).items()}
    parts = {part: pairs for part, pairs in parts.items() if pairs}
    if not parts:
        parts = _split(folder, _pairs(folder, found), found)
    pairs = [pair for some_pairs in parts.values() for pair in some_pairs]
    from_zero = any((pair[0].boxes[:, :2] == 0).any() for pair in pairs)
    if from_zero:
        found.say("coordinates of 0 occur: boxes are taken to count from 0 (pixel edges), not 1.")
    sizes = headers([image for _, image in pairs])
    done = {
        part: [_annotated(xml, image, sizes[image], from_zero, found) for xml, image in items]
        for part, items in parts.items()
    }
    return assemble(done, listed and listed.names, size, fit, found, scoring=scoring)


def read_annotation(file: Path, found: Findings) -> Annotation:
    """One XML file.

    Raises ValueError, with the file's name, where it is no VOC annotation or lacks a part of it.
    """
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise ValueError(f"{file} is no readable XML ({error}): repair or remove it.") from None
    if root.tag != "annotation":
        raise ValueError(f"{file} is no Pascal VOC annotation: its root is <{root.tag}>.")
    boxes, names, difficult = [], [], []
    for number, thing in enumerate(root.findall("object"), 1):
        name = (thing.findtext("name") or "").strip()
        if not name:
            raise ValueError(f"{file}: object {number} has no <name>.")
        box = thing.find("bndbox")
        if box is None:
            raise ValueError(f"{file}: object {number} ({name}) has no <bndbox>.")
        try:
            boxes.append([float(box.findtext(corner) or "") for corner in CORNERS])
        except ValueError:
            given = ", ".join(f"{corner} {box.findtext(corner)!r}" for corner in CORNERS)
            raise ValueError(
                f"{file}: object {number} ({name}) has a box that is no four numbers: {given}."
            ) from None
        names.append(name)
        difficult.append((thing.findtext("difficult") or "0").strip().lower() in ("1", "true"))
        if thing.find("part") is not None:
            found.saw("objects have parts (<part>), whose boxes are left out", file)
    array = np.array(boxes, np.float64).reshape(-1, 4)
    if len(array) and array.max() <= 1 and (array % 1).any():
        raise ValueError(
            f"{file}: its boxes lie between 0 and 1, as shares of the image; VOC counts pixels."
        )
    filename = (root.findtext("filename") or "").strip().replace("\\", "/").rsplit("/")[-1]
    return Annotation(file, filename, _stated(root, file), array, tuple(names), tuple(difficult))


def _stated(root: ElementTree.Element, file: Path) -> Size | None:
    texts = [root.findtext(f"size/{side}") for side in ("height", "width")]
    if not all(texts):
        return None
    try:
        height, width = (int(float(text)) for text in texts)
    except (ValueError, OverflowError):
        raise ValueError(f"{file}: its <size> is no two numbers: {texts[1]}, {texts[0]}.") from None
    return (height, width) if height > 0 and width > 0 else None  # some tools write 0


def _devkit(root: Path) -> Path:
    """The folder with Annotations/: the root itself, or VOCdevkit/VOC2012 below it."""
    if root.name.lower() == "annotations":
        return root.parent
    for _ in range(2):
        if any(root.glob("*.xml")) or any(root.glob("*/*.xml")) or part_folders(root):
            break
        inner = [x for x in sorted(root.iterdir()) if x.is_dir() and not x.name.startswith(".")]
        sets = [x for x in inner if x.name.lower().startswith("voc")]
        if len(sets) > 1:
            raise ValueError(f"{root} holds {some([x.name for x in sets])}: name one of them.")
        if not sets and len(inner) != 1:
            break
        root = (sets or inner)[0]
    return root


def _pairs(folder: Path, found: Findings) -> list[tuple[Annotation, Path]]:
    """The XML files of a folder (in Annotations/ or beside the images) with their images."""
    where = subfolder(folder, ("annotations", "labels", "xml", "xmls"))
    inner = [x for x in sorted(folder.iterdir()) if x.is_dir() and any(x.glob("*.xml"))]
    if where is None:
        where = inner[0] if len(inner) == 1 and not any(folder.glob("*.xml")) else folder
    xmls = sorted(x for x in where.rglob("*.xml") if not x.name.startswith("."))
    if where == folder:
        xmls = [x for x in xmls if x.parent == folder]
    if not xmls:
        return []
    pictures = folder_like(folder, ("jpegimages", *IMAGE_FOLDERS), ("image", "img")) or folder
    images = by_stem(pictures, deep=pictures != folder)
    pairs, missing, used = [], [], set()
    for xml in xmls:
        annotation = read_annotation(xml, found)
        image = _image(annotation, xml.relative_to(where).with_suffix("").as_posix(), images)
        if image is None:
            missing.append(f"{found.short(xml)} ({annotation.filename or 'no filename'})")
        elif image in used:
            raise ValueError(f"{xml}: its image {image.name} is annotated in another file too.")
        else:
            used.add(image)
            pairs.append((annotation, image))
    found.leave_out(
        missing, len(xmls), "annotations have no image", f"Their images are sought in {pictures}."
    )
    for image in (image for files in images.values() for image in files if image not in used):
        found.saw("images have no annotation and are left out", image)
    return pairs


def _image(annotation: Annotation, stem: str, images: dict[str, list[Path]]) -> Path | None:
    """The image of an annotation: by the XML file's own name, else by its <filename>."""
    flat = stem.rsplit("/")[-1]
    named = annotation.filename.rsplit(".", 1)[0]
    for name in dict.fromkeys((stem, flat, named, annotation.filename)):
        files = images.get(name, [])
        exact = [file for file in files if file.name == annotation.filename]
        if len(files) > 1 and len(exact) != 1:
            raise ValueError(
                f"{annotation.file}: its image may be {some([file.name for file in files])}: "
                "remove one, or name it in <filename>."
            )
        if files:
            other = [x for x in images.get(named, []) if x.name == annotation.filename]
            if name in (stem, flat) and other and other[0] not in files:
                raise ValueError(
                    f"{annotation.file} names {annotation.filename}, but there is "
                    f"{files[0].name} too, of its own name: correct <filename>."
                )
            return (exact or files)[0]
    return None


def _split(
    folder: Path, pairs: list[tuple[Annotation, Path]], found: Findings
) -> dict[str, list[tuple[Annotation, Path]]]:
    """Parts by ImageSets/Main, where there is one; else all is 'train'."""
    sets = subfolder(folder, ("imagesets",))
    lists = split_lists(subfolder(sets, ("main",)) or sets) if sets else {}
    if not lists:
        return {"train": pairs}
    known = {}
    for annotation, image in pairs:
        for name in (annotation.file.stem, image.name, image.stem):
            known.setdefault(name, (annotation, image))
    parts, used = {}, set()
    for part, ids in lists.items():
        lost = [name for name in ids if name not in known]
        found.leave_out(
            lost,
            len(ids),
            f"ids of {part} have no annotation with its image",
            "Add or delete them.",
        )
        parts[part] = [known[name] for name in _once(ids, part, found) if name in known]
        used |= {image for _, image in parts[part]}
    for _, image in pairs:
        if image not in used:
            found.saw("images are in no list of ImageSets and are left out", image)
    return parts


def _once(ids: Sequence[str], part: str, found: Findings) -> list[str]:
    unique = list(dict.fromkeys(ids))
    if len(unique) < len(ids):
        found.say(f"{len(ids) - len(unique)} ids are listed twice for {part} and taken once.")
    return unique


def _annotated(xml: Annotation, image: Path, header, from_zero: bool, found: Findings) -> Annotated:
    size, upright = stored_as(image, header, xml.size, found)
    low = np.minimum(xml.boxes[:, :2], xml.boxes[:, 2:])
    high = np.maximum(xml.boxes[:, :2], xml.boxes[:, 2:])
    swapped = int((xml.boxes[:, :2] > xml.boxes[:, 2:]).any(1).sum())
    if swapped:
        found.saw("boxes with reversed corners are turned", xml.file, swapped)
    if not from_zero:
        flat = (low == high).any(1, keepdims=True)  # clicks: not taken for a pixel
        low = np.where(flat, high, low - 1)
    boxes, keep = check_boxes(np.concatenate([low, high], 1), size, xml.file, found)
    boxes = boxes[keep]
    return Annotated(
        file=image,
        size=size,
        boxes=boxes,
        names=tuple(name for name, kept in zip(xml.names, keep, strict=True) if kept),
        flags=np.where(np.array(xml.difficult, bool)[keep], DIFFICULT, 0).astype(np.uint8),
        areas=box_areas(boxes),
        id=xml.file.stem,
        upright=upright,
    )
