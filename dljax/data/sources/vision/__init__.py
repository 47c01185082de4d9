"""Annotated images: with boxes, for detection, and with class masks, for segmentation.

    data = load_boxes("scenes", size=(96, 96))             # BoxedImages, see boxes.py
    data = load_boxes("bccd/", size=(320, 320))            # Pascal VOC, COCO or YOLO
    data = load_masks("camvid/", size=None)                # MaskedImages, see masks.py
    data = load_masks("coco/", size=(256, 256))            # COCO's polygons as masks
    data = load_boxes("tfds:voc/2007", size=(320, 320))    # prepared by TFDS

Both hold sources of examples, `data.train[i]`, for data.streaming; `data.train.arrays()` decodes
all of them, for data.feed.in_memory (data/annotated.py makes feeds of both). Images keep their
aspect ("letterbox", "pad") or not ("stretch"); `unfit_boxes` and `unfit_mask` bring results back
to the original pixels, in which `truth(data.test)` is what a score compares with.

What is ambiguous is said in `data.notes`, a line each, or refused in one line that names the file.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from dljax.data.sources import scenes
from dljax.data.sources.layout import some
from dljax.data.sources.vision.boxes import (
    CROWD,
    DIFFICULT,
    BoxedImages,
    BoxSource,
    Truth,
    truth,
)
from dljax.data.sources.vision.coco import coco_files, read_coco
from dljax.data.sources.vision.coco_masks import read_coco_masks
from dljax.data.sources.vision.letterbox import (
    IGNORE,
    Fit,
    Size,
    box_scales,
    fit_boxes,
    fit_mask,
    unfit_boxes,
    unfit_mask,
)
from dljax.data.sources.vision.mask_folders import is_mask_folder, read_mask_folder
from dljax.data.sources.vision.masks import MaskedImages, MaskSource
from dljax.data.sources.vision.parts import Scoring
from dljax.data.sources.vision.tfds_annotations import read_tfds_boxes, read_tfds_masks
from dljax.data.sources.vision.voc import read_voc
from dljax.data.sources.vision.yolo import data_yaml, read_yolo

__all__ = [
    "CROWD",
    "DIFFICULT",
    "IGNORE",
    "BoxSource",
    "BoxedImages",
    "Fit",
    "MaskSource",
    "MaskedImages",
    "Scoring",
    "Size",
    "Truth",
    "box_scales",
    "fit_boxes",
    "fit_mask",
    "load_boxes",
    "load_masks",
    "truth",
    "unfit_boxes",
    "unfit_mask",
]

BOX_KINDS = (
    "'scenes', 'tfds:NAME', or a folder or file of Pascal VOC (Annotations/*.xml), COCO (.json) or "
    "YOLO (data.yaml or labels/*.txt)"
)
MASK_KINDS = (
    "'scenes', 'tfds:NAME', a folder with images/ and masks/ (or labels/, SegmentationClass/, "
    "...), or COCO (.json) with segments"
)
SCENES, HELD_OUT, SCENE_SIDE = 8000, 500, 96  # scenes to train on, to validate and test; side


def load_boxes(
    dataset: str,
    size: Size | None = None,
    fit: Fit = "letterbox",
    data_dir: str | None = None,
    scoring: Scoring | None = None,
) -> BoxedImages:
    """Finds a data set with boxes and reads its annotations; images are decoded later.

    Args:
      dataset: one of BOX_KINDS.
      size: (height, width) that images are fitted to; only 'scenes' has a default, and is square.
      fit: "letterbox" keeps the aspect, "pad" does and never enlarges, "stretch" does not.
      data_dir: where TFDS sets lie; the default is that of TFDS.
      scoring: for a set that a trained network is scored on, see `Scoring`.

    Raises:
      FileNotFoundError, ValueError: one line that says what is wrong and where.
    """
    if dataset == "scenes":
        side = _side(size)
        parts = _scenes(side)
        return BoxedImages(
            f"scenes of {side}x{side}",
            **parts,
            classes=scenes.CLASSES,
            category_ids=(*range(1, 11),),
        )
    if size is None:
        raise ValueError(f"{dataset}: give a size (height, width) that its images are fitted to.")
    if dataset.startswith("tfds:"):
        return read_tfds_boxes(dataset, data_dir, size, fit, scoring)
    path = _existing(dataset, BOX_KINDS)
    if path.suffix.lower() == ".json":
        return read_coco(str(path), size, fit, scoring)
    if path.suffix.lower() in (".yaml", ".yml"):
        return read_yolo(str(path), size, fit, scoring)
    if path.is_file():
        raise ValueError(f"{dataset} is a file that is not read here: --dataset takes {BOX_KINDS}.")
    readers = {"Pascal VOC": read_voc, "COCO": read_coco, "YOLO": read_yolo}
    kinds = box_kinds(path)
    if len(kinds) > 1:
        raise ValueError(
            f"{dataset} holds annotations of {' and '.join(kinds)}: name the .json, the .yaml or "
            "Annotations/ itself."
        )
    if not kinds:
        raise ValueError(
            f"{dataset} has no annotations that are known: --dataset takes {BOX_KINDS}."
        )
    return readers[kinds[0]](str(path), size, fit, scoring)


def load_masks(
    dataset: str,
    size: Size | None = None,
    fit: Fit = "letterbox",
    channels: int | None = None,
    *,
    classes: Sequence[str] = (),
    data_dir: str | None = None,
    scoring: Scoring | None = None,
) -> MaskedImages:
    """Finds a data set with class masks; images and masks are decoded later.

    Args:
      dataset: one of MASK_KINDS.
      size: (height, width) to fit to; None keeps the size, if all images share it.
      fit: "letterbox" keeps the aspect, "pad" does and never enlarges, "stretch" does not.
      channels: 1 or 3; None takes what the images have.
      classes: names of the classes, in the order of the levels of masks, of a set that has no list
        of them: of 0/255 masks that of 0, then that of 255.
      data_dir: where TFDS sets lie; the default is that of TFDS.
      scoring: for a set that a trained network is scored on, see `Scoring`.

    Raises:
      FileNotFoundError, ValueError: one line that says what is wrong and where.
    """
    if dataset == "scenes":
        side = _side(size)
        names = scenes.MASK_CLASSES
        ids = tuple(range(len(names)))
        made = MaskedImages(f"scenes of {side}x{side}", **_scenes(side), classes=names, ids=ids)
        return _named(made, classes)
    if dataset.startswith("tfds:"):
        return read_tfds_masks(dataset, data_dir, size, fit, channels, classes, scoring)
    path = _existing(dataset, MASK_KINDS)
    if path.suffix.lower() == ".json":
        return _named(read_coco_masks(str(path), size, fit, channels or 3, scoring), classes)
    if path.is_file():
        raise ValueError(
            f"{dataset} is a file that is not read here: --dataset takes {MASK_KINDS}."
        )
    folders, coco = is_mask_folder(path), bool(coco_files(path))
    if folders and coco:
        raise ValueError(f"{dataset} has masks and COCO's segments: name the .json for the latter.")
    if coco:
        return _named(read_coco_masks(str(path), size, fit, channels or 3, scoring), classes)
    return read_mask_folder(str(path), size, fit, channels, classes, scoring)


def _named(data: MaskedImages, classes: Sequence[str]) -> MaskedImages:
    """The set, which names its classes itself; ValueError where others are given."""
    if classes and tuple(classes) != data.classes:
        raise ValueError(
            f"{data.name} names its classes itself: {some(list(data.classes), 12)}; not "
            f"{some(list(classes), 12)}."
        )
    return data


def box_kinds(root: Path) -> list[str]:
    """The formats of the annotations in a folder: 'Pascal VOC', 'COCO', 'YOLO'."""
    if root.name.lower() == "annotations":
        inside = [("Pascal VOC", any(root.rglob("*.xml"))), ("COCO", bool(coco_files(root)))]
        return [kind for kind, there in inside if there]
    endings = {
        Path(name).suffix.lower()
        for where, folders, names in os.walk(root)
        for name in names
        if not name.startswith(".") and "imagesets" not in where.lower()
        if len(Path(where).relative_to(root).parts) <= 4 and Path(name).stem.lower() not in _TEXTS
    }
    kinds = ["Pascal VOC"] if ".xml" in endings else []
    if ".json" in endings and coco_files(root):
        kinds.append("COCO")
    # Text files beside XML or JSON are lists of images more often than labels.
    if data_yaml(root) or (".txt" in endings and not kinds):
        kinds.append("YOLO")
    return kinds


_TEXTS = {"classes", "labels", "readme", "license", "train", "val", "test", "trainval", "notice"}


def _existing(dataset: str, kinds: str) -> Path:
    path = Path(os.path.expanduser(dataset))
    if path.exists():
        return path
    if os.sep in dataset or dataset.startswith((".", "~")):
        raise FileNotFoundError(f"There is no folder or file {dataset}: --dataset takes {kinds}.")
    raise ValueError(f"Unknown data set {dataset!r}: --dataset takes {kinds}.")


def _side(size: Size | None) -> int:
    height, width = size or (SCENE_SIDE, SCENE_SIDE)
    if height != width:
        raise ValueError(f"Scenes are square, not {height}x{width}.")
    return height


def _scenes(side: int) -> dict[str, scenes.SceneSource]:
    counts = {"train": SCENES, "validation": HELD_OUT, "test": HELD_OUT}
    return {part: scenes.SceneSource(n, part, size=side) for part, n in counts.items()}
