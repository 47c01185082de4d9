"""Prepared TFDS sets whose images have boxes or masks, read without TensorFlow.

Boxes lie in a sequence of features, one of them a bounding box (ymin, xmin, ymax, xmax from 0 to
1), as in voc, coco, kitti, open_images or wider_face; masks in an image of a name such as
segmentation_mask. The encoded images are taken out of the records and decoded as files are.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.data.sources.image import UnreadableImage, image_header
from dljax.data.sources.layout import some
from dljax.data.sources.tfds_builder import Description, class_names, describe
from dljax.data.sources.vision import boxes, mask_folders
from dljax.data.sources.vision.boxes import CROWD, DIFFICULT, Annotated, BoxedImages
from dljax.data.sources.vision.class_list import ClassList
from dljax.data.sources.vision.letterbox import Fit, Size
from dljax.data.sources.vision.mask_code import Levels, choose_code, decode, read_levels
from dljax.data.sources.vision.masks import Masked, MaskedImages
from dljax.data.sources.vision.parts import (
    Findings,
    Record,
    Scoring,
    part_of,
    refuse_unreadable,
    settle,
)

RELATIVE = "REL_YXYX"  # ymin, xmin, ymax, xmax as shares of the image
FLAGS = {"is_difficult": DIFFICULT, "is_crowd": CROWD}
MASK_WORDS = ("mask", "segment", "annotation", "label")
BLOCK = 32  # records that are looked at together


class Split(NamedTuple):
    """One part of a set. source: of records with images still encoded. files: of the records."""

    name: str
    source: Sequence
    files: tuple[Path, ...]

    def path(self, index: int) -> Path:
        """What a record is called: 'tfds:voc/2007/train/12'."""
        return Path(self.name, str(index))

    def record(self, index: int, key: str) -> Record:
        """The encoded image in a field of a record."""
        return Record(lambda: self.rows([index])[0][key], self.files)

    def rows(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Records; raises UnreadableImage where they are damaged."""
        try:
            return self.source.__getitems__(list(indices))
        except Exception as error:  # array_record and protobuf raise anything
            raise UnreadableImage(f"{type(error).__name__}: {error}") from error


def read_tfds_boxes(
    dataset: str,
    data_dir: str | None,
    size: Size,
    fit: Fit = "letterbox",
    scoring: Scoring | None = None,
) -> BoxedImages:
    """Reads a set with boxes; `tfds:NAME` as in `sources.load_images`.

    Difficult (voc) and crowd (coco) objects are marked as in files. A split without any box (test
    sets without annotations) is left out. Raises ValueError, in one line, for a set without boxes.
    """
    described, found = describe(dataset, data_dir), Findings(dataset)
    image = _images(described)[:1]
    things = {key: inner for key, inner in _sequences(described).items() if _box_of(inner)}
    if not image or not things:
        raise ValueError(f"{dataset} has no images with boxes: its fields are {_fields(described)}")
    (key, inner), *others = things.items()
    if others:
        found.say(f"the boxes are those of {key!r}, not of {some([name for name, _ in others])}.")
    box, label = _box_of(inner), _label_of(inner)
    form = inner[box]["boundingBox"].get("bboxFormat", RELATIVE)
    if form != RELATIVE:
        raise ValueError(f"The boxes of {dataset} are {form}, not {RELATIVE}.")
    if label is None:
        classes = (key,)
        found.say(f"boxes have no class: all are {key!r}.")
    else:
        count = int(inner[label]["classLabel"]["numClasses"])
        classes = class_names(described.folder, f"{key}-{label}", count)

    def read(split: Split, index: int, example: dict[str, Any]) -> Annotated:
        path, rows = split.path(index), example[key]
        its = _size(path, example[image[0]])
        low_high = np.asarray(rows[box], np.float64).reshape(-1, 4)[:, [1, 0, 3, 2]]
        corners, keep = boxes.check_boxes(low_high * [*its[::-1], *its[::-1]], its, path, found)
        flags = np.zeros(len(corners), np.uint8)
        for name in FLAGS.keys() & rows.keys():
            flags |= np.where(rows[name], FLAGS[name], 0).astype(np.uint8)
        areas = boxes.box_areas(corners)
        if "area" in rows:
            areas = np.asarray(rows["area"], np.float64)
        labels = np.zeros(len(corners), int) if label is None else np.asarray(rows[label], int)
        if not ((labels >= 0) & (labels < len(classes))).all():
            raise ValueError(
                f"{path}: a box has the class {some(labels.tolist())}, of {len(classes)} classes."
            )
        names = tuple(classes[k] for k in labels[keep])
        record = split.record(index, image[0])
        kept = (corners[keep], names, flags[keep], areas[keep])
        return Annotated(path, its, *kept, path.as_posix(), False, record=record)

    parts = _parts(described, image, read, found)
    for part in [name for name in parts if name != "train" or scoring]:
        if not any(len(item.boxes) for item in parts[part]):
            found.say(f"the {part} images have no boxes and are left out.")
            del parts[part]
    return boxes.assemble(parts, classes, size, fit, found, scoring=scoring)


def read_tfds_masks(
    dataset: str,
    data_dir: str | None,
    size: Size | None,
    fit: Fit = "letterbox",
    channels: int | None = None,
    classes: Sequence[str] = (),
    scoring: Scoring | None = None,
) -> MaskedImages:
    """Reads a set with class masks; arguments as of `load_masks`.

    Raises ValueError, in one line, for a set without masks, and as `mask_code` does.
    """
    described, found = describe(dataset, data_dir), Findings(dataset)
    images = _images(described)
    masks = [
        key for key in images
        if "label" in described.features[key]["image"] or any(word in key for word in MASK_WORDS)
    ]  # fmt: skip
    plain = [key for key in images if key not in masks]
    if not masks or not plain:
        raise ValueError(f"{dataset} has no images with masks: its fields are {_fields(described)}")
    if len(masks) > 1:
        found.say(f"the masks are {masks[0]!r}, not {some(masks[1:])}.")
    image, mask = plain[0], masks[0]
    labels = described.features[mask]["image"].get("label")
    listed = None
    if labels:
        names = class_names(described.folder, mask, int(labels["numClasses"]))
        ids = dict(enumerate(range(len(names))))
        listed = ClassList(names, ids, {}, True, described.folder / f"{mask}.labels.txt")

    def read(split: Split, index: int, example: dict[str, Any]) -> Masked:
        def levels() -> Levels:
            return read_levels(path, split.record(index, mask).read())

        path = split.path(index)
        its = _size(path, example[image])
        return Masked(path, path, its, levels, False, split.record(index, image))

    parts = _parts(described, (image, mask), read, found)
    settled = settle(parts, lambda item: item.file, found, scoring)
    reads = [item.read for x in (parts if scoring else settled).values() for item in x]
    code = choose_code(reads, listed, False, found, classes)
    done = {
        part: [item._replace(read=partial(decode, item.read, code, item.size)) for item in items]
        for part, items in settled.items()
    }
    return mask_folders.assemble(
        done, code.classes, code.ids, None, size, fit, channels, found, scoring
    )


def _images(described: Description) -> list[str]:
    return [key for key, feature in described.features.items() if "image" in feature]


def _sequences(described: Description) -> dict[str, dict[str, dict]]:
    """{key: features of its entries} of the sequences of several features."""
    found = {}
    for key, feature in described.features.items():
        inner = feature.get("sequence", {}).get("feature", {})
        if "featuresDict" in inner:
            found[key] = inner["featuresDict"]["features"]
    return found


def _box_of(inner: dict[str, dict]) -> str | None:
    return next((key for key, feature in inner.items() if "boundingBox" in feature), None)


def _label_of(inner: dict[str, dict]) -> str | None:
    """The class among the features of a box: 'label', else the first class ('type' of kitti)."""
    labels = [key for key, feature in inner.items() if "classLabel" in feature]
    return "label" if "label" in labels else next(iter(labels), None)


def _fields(described: Description) -> str:
    return ", ".join(described.features)


def _size(path: Path, content: bytes) -> Size:
    try:
        return image_header(io.BytesIO(content))[0]
    except UnreadableImage as error:
        refuse_unreadable({path: error})
        raise


def _parts(
    described: Description, images: Sequence[str], read: Callable, found: Findings
) -> dict[str, list]:
    """{part: what `read` makes of each record}, of splits that are named like parts."""
    parts, others = {}, []
    for name in described.splits:
        part = part_of(name)
        if part is None or part in parts or not described.splits[name]:
            others.append(name)
            continue
        split, parts[part] = _open(described, name, images), []
        for first in range(0, len(split.source), BLOCK):
            indices = range(first, min(first + BLOCK, len(split.source)))
            try:
                rows = split.rows(indices)
            except UnreadableImage as error:
                raise ValueError(f"{split.name} can't be read ({error}).") from None
            parts[part] += [read(split, i, row) for i, row in zip(indices, rows, strict=True)]
    if others:
        found.say(f"splits that are not read: {some(others)}.")
    return parts


def _open(described: Description, name: str, images: Sequence[str]) -> Split:
    """A split whose images stay encoded."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(described.folder))
    decoders = {key: tfds.decode.SkipDecoding() for key in images}
    files = tuple(sorted(described.folder.glob(f"*-{name}.array_record*")))
    source = builder.as_data_source(split=name, decoders=decoders)
    return Split(f"{described.name}/{name}", source, files)
