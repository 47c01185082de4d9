"""What the levels of mask files mean: which class is which id, palette index or colour.

`read_levels` gives what a file holds; `choose_code` decides for a whole set, by its list of classes
or by its levels, which may be named; `decode` makes class indices. A palette PNG holds indices: its
colours are looked at only to refuse a file in which they contradict the list of classes.
"""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dljax.data.sources.layout import some
from dljax.data.sources.vision.class_list import ClassList, Colour
from dljax.data.sources.vision.letterbox import IGNORE
from dljax.data.sources.vision.parts import Findings

UNKNOWN = 254  # in a table: a level of no class
LOSSY, LOSSY_SHARE = 32, 0.01  # a JPEG of two levels strays further from them at few pixels only

VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


class Levels(NamedTuple):
    """A mask file as it is. array: int [H, W] levels, or uint8 [H, W, 3] colours.

    palette: {index: colour} of a palette image.
    """

    file: Path
    array: np.ndarray
    palette: dict[int, Colour] | None = None


Read = Callable[[], Levels]


class MaskCode(NamedTuple):
    """classes; ids: of each in the masks. table: uint8, level -> class index, IGNORE or UNKNOWN.

    colours: {colour: class index or IGNORE}; empty where masks hold no colours.
    """

    classes: tuple[str, ...]
    ids: tuple[int, ...]
    table: np.ndarray
    colours: dict[Colour, int]
    listed: str = "no list of classes"


def read_levels(file: Path, content: bytes | None = None) -> Levels:
    """Reads a mask: 1-bit, grey (8 or 16 bits), palette or colour; alpha is left out.

    content: of the image, where `file` only names it.
    Raises ValueError, with the file's name, where it is no image or a lossy one with classes.
    """
    from PIL import Image

    try:
        with Image.open(file if content is None else io.BytesIO(content)) as image:
            lossy, mode = image.format == "JPEG", image.mode
            if mode in ("LA", "RGBA"):
                image = image.convert(mode[:-1].replace("LA", "L"))
            palette = _palette(image) if mode == "P" else None
            array = np.array(image)
    except Exception as error:  # Pillow's decoders raise anything
        raise ValueError(
            f"{file} is no readable mask ({type(error).__name__}: {error}): repair or remove it."
        ) from None
    if mode == "1":
        array = array.astype(np.uint8) * 255
    if array.ndim == 3 and array.shape[-1] == 3 and (array == array[..., :1]).all():
        array = array[..., 0]
    if array.ndim not in (2, 3) or array.dtype.kind not in "ui" or mode in ("CMYK", "YCbCr"):
        raise ValueError(f"{file} is a mask of mode {mode}: save it as 8-bit grey or palette PNG.")
    if array.min(initial=0) < 0 or array.max(initial=0) > 65535:
        raise ValueError(f"{file} is a mask with levels below 0 or above 65535, no class ids.")
    if lossy:
        # Of 0 and 255, not of small ids: there is white, or nothing but black.
        between = (np.minimum(array, 255 - array) > LOSSY).mean()
        if array.ndim == 3 or between > LOSSY_SHARE or 0 < array.max(initial=0) < 255 - LOSSY:
            raise ValueError(f"{file} is a JPEG, which blurs class ids: save masks as PNG.")
        array = np.where(array > 127, 255, 0).astype(np.uint8)
    return Levels(file, array, palette)


def choose_code(
    masks: Sequence[Read],
    listed: ClassList | None,
    voc: bool,
    found: Findings,
    names: Sequence[str] = (),
) -> MaskCode:
    """The code of a set of masks. Without a list of classes, or with two, all are looked at.

    voc: whether the set is laid out as VOC2012, whose names are then taken. names: of the classes,
    in the order of their levels, where the set has no list.
    Raises ValueError where the levels without a list are no ids, or names are not as many.
    """
    if listed is not None and names and tuple(names) != listed.names:
        raise ValueError(
            f"{listed.file} lists the classes {some(list(listed.names), 8)}, not "
            f"{some(list(names), 8)}: the names given are for sets without a list."
        )
    if listed is not None and (listed.numbered or listed.colours or len(listed.ids) != 2):
        return _listed(listed, found)
    places = _levels(masks, listed is None)
    levels = set(places)
    binary = 255 in levels and levels <= {0, 255}
    if listed is not None:
        return _binary(listed.names, str(listed.file)) if binary else _listed(listed, found)
    if binary:
        if names and len(names) != 2:
            raise ValueError(
                f"{found.root}: masks hold 0 and 255 alone, two classes, but {len(names)} are "
                f"named: {some(list(names), 8)}."
            )
        first, second = names or ("background", "foreground")
        found.say(f"masks of 0 and 255, no list of classes: 0 is {first!r}, 255 {second!r}.")
        return _binary((first, second), "no list of classes")
    if 255 in levels:
        found.say("the level 255 of masks is ignored.")
    ids = sorted(levels - {255})
    top = len(names) - 1 if names else 2 * len(ids)
    voc = voc and not names and bool(ids) and ids[-1] < len(VOC)
    if not ids or (ids[-1] > top and not voc) or ids[-1] >= UNKNOWN:
        advice = f"ids of the {len(names)} classes named" if names else "class ids from 0 on"
        rare = min(levels, key=lambda level: (len(places[level]), -level))
        raise ValueError(
            f"{found.root}: masks have the levels {some(sorted(levels), 8)} ({rare} is in "
            f"{some([found.short(file) for file in places[rare]], 2)}), which are no {advice}: add "
            "classes.txt with a line ID NAME for each, or correct the mask."
        )
    if voc:
        found.say("no list of classes: the ids are taken for Pascal VOC's 21 classes.")
        names = VOC
    elif not names:
        found.say(f"no list of classes: the levels 0 to {ids[-1]} of masks are the classes.")
        names = tuple(map(str, range(ids[-1] + 1)))
    ids = tuple(range(len(names)))
    return MaskCode(tuple(names), ids, _table({k: k for k in ids}), {})


def _levels(masks: Sequence[Read], grey: bool) -> dict[int, list[Path]]:
    """{level: the masks that have it}; colours are left out, or refused where `grey` is asked."""

    def of(read: Read) -> tuple[Path, list[int]]:
        file, array, _ = read()
        if array.ndim == 3 and grey:
            raise ValueError(
                f"{file} holds colours, and there is no list of classes: add classes.txt with a "
                "line NAME R G B for each."
            )
        levels = [] if array.ndim == 3 else np.flatnonzero(np.bincount(array.ravel())).tolist()
        return file, levels

    places: dict[int, list[Path]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, levels in pool.map(of, masks):
            for level in levels:
                places.setdefault(level, []).append(file)
    return places


def decode(read: Read, code: MaskCode, size: tuple[int, int]) -> np.ndarray:
    """uint8 [H, W]: the class indices of a mask, IGNORE where there is none.

    Raises ValueError, with the file's name: another size than its image's, an id or colour of no
    class, a palette that contradicts the list.
    """
    file, array, palette = read()
    if array.shape[:2] != tuple(size):
        raise ValueError(
            f"{file} is a mask of {array.shape[1]}x{array.shape[0]} pixels, its image has "
            f"{size[1]}x{size[0]}: it belongs to another image, or one of them was resized."
        )
    if code.colours and palette is not None:
        _check_palette(file, array, palette, code)
    elif code.colours and array.ndim == 2:
        grey = {(level, level, level) for level in np.unique(array).tolist()}
        if grey <= set(code.colours):
            array = np.repeat(array[..., None], 3, -1)
    if array.ndim == 3:
        return _decode_colours(file, array, code)
    indices = code.table[np.minimum(array.astype(np.int32), len(code.table) - 1)]
    if (indices == UNKNOWN).any():
        wrong = np.unique(array[indices == UNKNOWN])
        count = int((indices == UNKNOWN).sum())
        raise ValueError(
            f"{file} has the class id {some(wrong.tolist())} ({count} pixels), which is none of "
            f"{some(list(code.ids), 12)} ({code.listed}): correct it, or list it as 'ID ignore'."
        )
    return indices


def _decode_colours(file: Path, array: np.ndarray, code: MaskCode) -> np.ndarray:
    if not code.colours:
        raise ValueError(
            f"{file} holds colours, but {code.listed} has none: add R G B to its lines."
        )
    packed = array.astype(np.int64) @ np.array([65536, 256, 1])
    present, inverse = np.unique(packed, return_inverse=True)
    known = {(r << 16) + (g << 8) + b: index for (r, g, b), index in code.colours.items()}
    wrong = [p for p in present.tolist() if p not in known]
    if wrong:
        colours = [f"({p >> 16}, {p >> 8 & 255}, {p & 255})" for p in wrong]
        count = int(np.isin(packed, wrong).sum())
        raise ValueError(
            f"{file} has the colour {some(colours, 3)} ({count} pixels) of no class in "
            f"{code.listed}: was it resized or saved with losses?"
        )
    table = np.array([known[p] for p in present.tolist()], np.uint8)
    return table[inverse].reshape(array.shape[:2])


def _check_palette(
    file: Path, array: np.ndarray, palette: dict[int, Colour], code: MaskCode
) -> None:
    """Refuses a palette image whose colours are those of other classes than its indices."""
    for level in np.unique(array).tolist():
        by_index = int(code.table[min(level, len(code.table) - 1)])
        by_colour = code.colours.get(palette.get(level), by_index)
        if by_colour != by_index:
            name = code.classes[by_colour] if by_colour < len(code.classes) else "ignored"
            raise ValueError(
                f"{file}: the palette gives index {level} the colour of {name!r}, which has "
                f"another id in {code.listed}: save it as RGB, or with the indices of the list."
            )


def _listed(listed: ClassList, found: Findings) -> MaskCode:
    ignored = sorted(id_ for id_, index in listed.ids.items() if index is None)
    if ignored:
        found.say(f"pixels of the id {some(ignored)} (unlabelled, by the list) are ignored.")
    if len(listed.names) >= UNKNOWN:
        raise ValueError(f"{listed.file} lists {len(listed.names)} classes; 253 are the most.")
    ids = {index: id_ for id_, index in listed.ids.items() if index is not None}
    colours = {
        colour: IGNORE if index is None else index for colour, index in listed.colours.items()
    }
    return MaskCode(
        listed.names,
        tuple(ids[k] for k in range(len(listed.names))),
        _table(listed.ids),
        colours,
        str(listed.file),
    )


def _binary(names: Sequence[str], listed: str) -> MaskCode:
    table = np.full(257, UNKNOWN, np.uint8)
    table[0], table[255] = 0, 1
    return MaskCode(tuple(names), (0, 255), table, {}, listed)


def _table(ids: dict[int, int | None]) -> np.ndarray:
    """uint8 [levels + 1], the last entry for whatever is higher; 255 is ignored if not listed."""
    table = np.full(max(256, *ids) + 2, UNKNOWN, np.uint8)
    table[255] = IGNORE
    for id_, index in ids.items():
        table[id_] = IGNORE if index is None else index
    return table


def _palette(image) -> dict[int, Colour]:
    flat = image.getpalette("RGB") or []
    return {k // 3: tuple(flat[k : k + 3]) for k in range(0, len(flat) - 2, 3)}
