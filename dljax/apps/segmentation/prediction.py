"""--predict of a segmentation network: masks, a table and pictures in workdir/predictions/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dljax import plots
from dljax.data.sources import film
from dljax.data.sources.film import Frame
from dljax.data.sources.image import Levels, resize
from dljax.data.sources.vision import Size, unfit_mask
from dljax.data.sources.vision.letterbox import FILL, fitted, pad
from dljax.run.workdirs import predictions_folder
from dljax.train import export
from dljax.train.export import Serving
from dljax.train.files import write_csv

PICTURES = 20  # of predictions drawn, and lines printed, at most
AT_ONCE = 16  # images that are held in memory


def predict(
    model: Serving,
    path: str,
    workdir: str,
    *,
    palette: np.ndarray,
    ids: Sequence[int],
    levels: Levels | None,
    draw: bool,
) -> list[dict[str, Any]]:
    """Segments an image, the frames of a film, or all images and films of a folder.

    Images are fitted to what the network was trained on, as there, and masks brought back to their
    size. Writes a palette PNG for each, predictions.csv (file, number and time of a frame, share of
    each class) and, for the first images, pictures to workdir/predictions/. palette, ids: colour
    and level of each class in the PNGs. Returns the rows of the table.
    """
    height, width, channels = model.inputs["image"].shape
    classes = model.outputs["probability"].names
    folder = predictions_folder(workdir, path)
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(path).expanduser()
    root = root if root.is_dir() else root.parent
    rows, skipped, used = [], [], set()
    for frames in film.pieces(film.frames(path, channels, skipped, levels), AT_ONCE):
        found = segment(model, [frame.image for frame in frames], (height, width))
        for frame, mask in zip(frames, found, strict=True):
            name = _free(frame, root, used)
            save_palette(mask, palette, ids, folder / f"{name}.png")
            if draw and len(rows) < PICTURES:
                picture = folder / f"{name}_overlay.png"
                plots.masks.overlay(frame.image, mask, classes, picture)
            rows.append(_row(frame, root, f"{name}.png", mask, classes))
            if frame.number is None or len(rows) <= PICTURES:
                share = rows[-1][rows[-1]["largest"]]
                print(f"{frame.name()}: {share:.1%} {rows[-1]['largest']}; {folder / name}.png")
    for line in skipped:
        print(f"skipped: {line}")
    if not rows:
        raise ValueError(f"{path} has no readable image.")
    write_csv(folder / "predictions.csv", rows)
    step = model.metadata["step"]
    print(f"{len(rows)} images, by the checkpoint of step {step}; {folder}/predictions.csv")
    return rows


def segment(model: Serving, images: Sequence[np.ndarray], size: Size) -> list[np.ndarray]:
    """Class ids uint8 [h, w] of images uint8 [h, w, C] of any size, in their pixels."""
    ready = [pad(resize(x, fitted(x.shape[:2], size)), size, FILL) for x in images]
    p = export.answers(model, {"image": np.stack(ready)})["probability"]
    guess = p.argmax(-1).astype(np.uint8)
    return [unfit_mask(g, x.shape[:2]) for g, x in zip(guess, images, strict=True)]


def writable(ids: Sequence[int], classes: int) -> tuple[int, ...]:
    """The ids of classes where each has one of its own that 8 bits hold; else 0, 1, ..."""
    if len(set(ids)) != classes or max(ids) > 255:
        return tuple(range(classes))
    return tuple(ids)


def save_palette(mask: np.ndarray, palette: np.ndarray, ids: Sequence[int], path: Path) -> None:
    """Writes classes [H, W] as a PNG of their ids, coloured by their palette [classes, 3]."""
    levels, colours = np.array(ids, np.uint8), np.zeros((256, 3), np.uint8)
    colours[levels] = palette
    picture = Image.fromarray(levels[mask], mode="P")
    picture.putpalette(colours.ravel().tolist())
    picture.save(path)


def _free(frame: Frame, root: Path, used: set[str]) -> str:
    """A name for the files of a frame that no other has: of 'a/b.jpg' 'a_b', of a frame 'film_12'.

    A second file of one name keeps its ending: 'a_b_png'.
    """
    inner = frame.file.relative_to(root)
    number = "" if frame.number is None else f"_{frame.number:05d}"
    name = inner.with_suffix("").as_posix().replace("/", "_") + number
    if name in used:
        name = inner.as_posix().replace("/", "_").replace(".", "_") + number
    used.add(name)
    return name


def _row(
    frame: Frame, root: Path, name: str, mask: np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    share = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
    return {
        "file": frame.file.relative_to(root).as_posix(),
        **frame.when(),
        "mask": name,
        "largest": classes[int(share.argmax())],
        **{label: round(float(x), 6) for label, x in zip(classes, share, strict=True)},
    }
