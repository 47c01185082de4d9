"""Folders of images and masks, in the layouts that people have.

- train/, val/, test/, each with images/ and masks/ (or labels/, annotations/, ...)
- images/ and masks/, each with train/, val/, test/, or without: perhaps with lists of ids
- train/ and trainannot/ (SegNet's CamVid), train/ and train_labels/, and so on
- train/, val/, test/, or one folder, with images and masks side by side: x.tif and x_mask.tif
- VOC: JPEGImages/, SegmentationClass/, ImageSets/Segmentation/train.txt, val.txt

A mask has its image's name, perhaps with an ending such as _mask, _L, _gt. Folders may also be told
by a word in their names (PNGImages/, PedMasks/), where only one has it.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dljax.data.sources.image import read_image
from dljax.data.sources.layout import some
from dljax.data.sources.part_names import part_folders, part_of
from dljax.data.sources.vision.class_list import read_class_list
from dljax.data.sources.vision.letterbox import Fit, Size
from dljax.data.sources.vision.mask_code import choose_code, decode, read_levels
from dljax.data.sources.vision.masks import Masked, MaskedImages, MaskSource
from dljax.data.sources.vision.parts import (
    IMAGE_FOLDERS,
    Findings,
    Scoring,
    by_stem,
    encoded,
    folder_like,
    headers,
    set_levels,
    settle,
    split_lists,
    stored_as,
    subfolder,
)

MASK_FOLDERS = (
    *("masks", "mask", "segmentationclass", "labels", "label", "labelids", "annotations"),
    *("annotation", "annot", "segmentations", "segmentation", "gt", "ground_truth", "groundtruth"),
    *("targets", "gtfine"),
)
PICTURE_FOLDERS = (*IMAGE_FOLDERS, "leftimg8bit", "jpegimages")
ENDINGS = (
    *("_mask", "_masks", "_label", "_labels", "_l", "_gt", "_seg", "_segmentation", "_labelids"),
    *("_gtfine_labelids", "_groundtruth", "_annotation", "-mask", "-label"),
)
PICTURE_WORDS, MASK_WORDS = ("image", "img"), ("mask", "label", "segment", "annot")
PARTS_OF_MASKS = ("annot", "_annot", "_labels", "_masks", "masks", "labels", "_mask", "_gt")


class Pair(NamedTuple):
    """An image file and its mask file."""

    image: Path
    mask: Path


def read_mask_folder(
    root: str,
    size: Size | None,
    fit: Fit = "letterbox",
    channels: int | None = None,
    classes: Sequence[str] = (),
    scoring: Scoring | None = None,
) -> MaskedImages:
    """Reads a folder of images and masks.

    size: None keeps the size, which all images must share. channels: None is 1 for a set whose
    first images are grey, else 3. classes: names, of a set without a list of classes.
    Raises ValueError: one line that names the file and what is wrong.
    """
    folder, found = Path(root), Findings(root)
    parts = _parts(folder, found)
    pairs = settle(parts, lambda pair: pair.image, found, scoring)
    # What masks mean is told by all of them, also where one part alone is scored.
    every = [pair for items in (parts if scoring else pairs).values() for pair in items]
    listed = read_class_list(folder)
    voc = subfolder(folder, ("segmentationclass",)) is not None
    reads = {pair.mask: partial(read_levels, pair.mask) for pair in every}
    code = choose_code([*reads.values()], listed, voc, found, classes)
    sizes = headers([pair.image for items in pairs.values() for pair in items])
    done = {}
    for part, items in pairs.items():
        done[part] = []
        for image, mask in items:
            its, upright = stored_as(image, sizes[image], None, found)
            read = partial(decode, reads[mask], code, its)
            done[part].append(Masked(image, mask, its, read, upright))
    palette = None
    if code.colours:
        colours = {index: colour for colour, index in code.colours.items()}
        palette = tuple(colours[k] for k in range(len(code.classes)))
    return assemble(done, code.classes, code.ids, palette, size, fit, channels, found, scoring)


def assemble(
    parts: dict[str, list[Masked]],
    classes: tuple[str, ...],
    ids: tuple[int, ...],
    palette: tuple[tuple[int, int, int], ...] | None,
    size: Size | None,
    fit: Fit,
    channels: int | None,
    found: Findings,
    scoring: Scoring | None = None,
) -> MaskedImages:
    """The data set of what a reader found; see `read_mask_folder`."""
    sizes = {item.size for items in parts.values() for item in items}
    if size is None and len(sizes) > 1:
        (height, width), (other, wide) = sorted(sizes)[0], sorted(sizes)[-1]
        raise ValueError(
            f"{found.root}: images differ in size ({width}x{height} to {wide}x{other}): give a "
            "size for all."
        )
    size = size or sizes.pop()
    levels = set_levels(parts, found, scoring)
    if channels is None:
        first = [read_image(encoded(item)) for item in (parts["train"] or parts["test"])[:8]]
        channels = max(image.shape[-1] for image in first)
    sources = {
        part: MaskSource(items, classes, size, fit, channels, levels)
        for part, items in parts.items()
    }
    return MaskedImages(
        str(found.root),
        sources["train"],
        sources["test"],
        classes,
        sources.get("validation"),
        ids,
        palette,
        found.notes(),
    )


def is_mask_folder(root: Path) -> bool:
    """Whether a folder has one of the layouts above."""
    return bool(_homes(root))


def _homes(root: Path) -> dict[str | None, tuple[Path, Path]]:
    """{part: (folder of images, folder of masks)}; the part None is a set that is not divided."""
    folders = part_folders(root)
    homes = {}
    for part, folder in folders.items():
        pictures, masks = _pictures(folder), _masks(folder)
        beside = subfolder(root, [f"{folder.name.lower()}{ending}" for ending in PARTS_OF_MASKS])
        if masks is not None and masks != pictures:
            homes[part] = (pictures or folder, masks)
        elif beside is not None:
            homes[part] = (pictures or folder, beside)
        elif _side_by_side(folder):
            homes[part] = (folder, folder)
    if homes:
        return homes
    pictures, masks = _pictures(root), _masks(root)
    if pictures is None or masks is None or pictures == masks:
        return {None: (root, root)} if _side_by_side(root) else {}
    inside, others = part_folders(pictures), part_folders(masks)
    if inside and inside.keys() & others.keys():
        lacking = [inside[part].name for part in inside if part not in others and part != "test"]
        if lacking:
            raise ValueError(f"{pictures} has {some(lacking)}/, and {masks} has not.")
        return {part: (inside[part], others[part]) for part in inside if part in others}
    return {None: (pictures, masks)}


def _pictures(root: Path) -> Path | None:
    return folder_like(root, PICTURE_FOLDERS, PICTURE_WORDS)


def _masks(root: Path) -> Path | None:
    """The folder of masks, or the only folder with images in it (annotations/trimaps)."""
    masks = folder_like(root, MASK_FOLDERS, MASK_WORDS)
    if masks is None or part_folders(masks) or by_stem(masks):
        return masks
    inner = [x for x in sorted(masks.iterdir()) if x.is_dir() and by_stem(x)]
    return inner[0] if len(inner) == 1 else masks


def _side_by_side(folder: Path) -> bool:
    """Whether images and masks lie in one folder, at any depth, told by the endings of masks."""
    return bool(_twins(by_stem(folder, deep=True)))


def _twins(files: dict[str, list[Path]]) -> set[str]:
    """The names that are those of other files with an ending of masks."""
    lower = {name.lower() for name in files}
    return {
        name
        for name in files
        if any(
            name.lower().endswith(ending) and name.lower().removesuffix(ending) in lower
            for ending in ENDINGS
        )
    }


def _parts(root: Path, found: Findings) -> dict[str, list[Pair]]:
    homes = _homes(root)
    if not homes:
        raise ValueError(
            f"{root} has no images/ with masks/ (or labels/, ...) beside them, nor train/ and "
            "test/ with these inside."
        )
    for folder in part_folders(root).values() if None not in homes else ():
        if part_of(folder.name) not in homes:
            found.say(f"{folder.name}/ has no masks and is left out.")
    if None not in homes:
        return {part: pair_up(*folders, found) for part, folders in homes.items()}
    pairs = pair_up(*homes[None], found)
    sets = subfolder(root, ("imagesets",))
    lists = split_lists((subfolder(sets, ("segmentation",)) or sets) if sets else root)
    if not lists:
        return {"train": pairs}
    by_name = {name: pair for pair in pairs for name in (pair.image.stem, pair.image.name)}
    parts, used = {}, set()
    for part, ids in lists.items():
        names = [Path(id_).name for id_ in dict.fromkeys(ids)]
        lost = [name for name in names if name not in by_name]
        what = f"ids of {part} have no image with its mask"
        found.leave_out(lost, len(names), what, "Add the files or delete the ids.")
        parts[part] = [by_name[name] for name in names if name in by_name]
        used |= {pair.image for pair in parts[part]}
    for pair in pairs:
        if pair.image not in used:
            found.saw("images are in no list of a part and are left out", pair.image)
    return parts


def pair_up(pictures: Path, masks: Path, found: Findings) -> list[Pair]:
    """The images of a folder with their masks, at any depth.

    Raises ValueError where an image may have several, or where many have none.
    """
    images, others = by_stem(pictures, deep=True), by_stem(masks, deep=True)
    if pictures == masks:
        twins = _twins(images)
        others = {name: images[name] for name in twins}
        images = {name: files for name, files in images.items() if name not in twins}
    by_name: dict[str, list[Path]] = defaultdict(list)
    for stem, files in others.items():
        lower = stem.lower()
        by_name[lower] += files
        for ending in ENDINGS:
            if lower.endswith(ending):
                by_name[lower.removesuffix(ending)] += files
    pairs, missing, used = [], [], set()
    for stem, files in images.items():
        if len(files) > 1:
            names = some([found.short(file) for file in files])
            raise ValueError(f"{found.root}: {names} share one mask: keep one image of a name.")
        plain = stem.lower().removesuffix("_leftimg8bit")
        candidates = list(dict.fromkeys(by_name.get(plain, ())))
        ids = [file for file in candidates if file.stem.lower().endswith("labelids")]
        if len(candidates) > 1 and len(ids) == 1:
            candidates = ids
        if len(candidates) > 1:
            names = some([found.short(file) for file in candidates])
            raise ValueError(f"{files[0]} may have the masks {names}: keep one of them.")
        if candidates:
            pairs.append(Pair(files[0], candidates[0]))
            used.add(candidates[0])
        else:
            missing.append(found.short(files[0]))
    voc = masks.name.lower() == "segmentationclass"
    if voc and pairs and missing:
        found.say(f"{len(missing)} images of {pictures.name}/ have no mask and are left out.")
    else:
        advice = f"Masks of the same names are sought in {masks}."
        found.leave_out(missing, len(images), "images have no mask", advice)
    for files in others.values():
        for file in files:
            if file not in used and not file.stem.lower().endswith(("color", "instanceids")):
                found.saw("masks have no image and are left out", file)
    return pairs
