"""The pictures of a run of an image GAN."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dljax import plots
from dljax.gan import sampling
from dljax.gan.adversarial import State
from dljax.gan.sampling import Sampler
from dljax.train.loop import Sums
from dljax.train.report import read_metrics

COLUMNS, STAGES, COMPARED = 12, 8, 1000


class Snapshot(NamedTuple):
    """The fixed-noise grid uint8 [N, H, W, C] of the first seed at a step."""

    step: int
    images: np.ndarray


def save_snapshot(step: int, sums: Sums, folder: Path) -> None:
    """Writes the fixed-noise grid of an evaluation to folder/STEP.npy, of the first seed."""
    images, count = (np.asarray(x)[0] for x in sums["samples"])
    shown = images[count[:, 0, 0, 0] > 0]
    folder.mkdir(parents=True, exist_ok=True)
    levels = np.round((np.clip(np.nan_to_num(shown), -1, 1) + 1) * 127.5)
    np.save(folder / f"{step:09d}.npy", levels.astype(np.uint8))


def snapshots_in(folder: Path) -> list[Snapshot]:
    """What `save_snapshot` wrote, in the order of the steps."""
    return [Snapshot(int(path.stem), np.load(path)) for path in sorted(folder.glob("*.npy"))]


def draw(
    folder: Path,
    sampler: Sampler,
    state: State,
    drawn: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    conditional: bool,
    train: np.ndarray,
    test: np.ndarray,
) -> None:
    """The pictures of a run in `folder` (workdir/plots); read_metrics and snapshots lie beside it.

    drawn: samples uint8 [N, H, W, C] of `state`, and `labels` [N] their classes: the conditions if
    `conditional`, else predictions of a classifier. train, test: real images.
    """
    metrics = read_metrics(folder.parent)
    plots.samples.outputs(metrics, folder / "discriminator.png")
    plots.samples.sheet(drawn[:64], folder / "samples.png")

    snapshots = snapshots_in(folder.parent / "snapshots")
    if snapshots:
        chosen = [
            snapshots[i] for i in np.unique(np.linspace(0, len(snapshots) - 1, STAGES, dtype=int))
        ]
        plots.samples.named_rows(
            [x.images[:COLUMNS] for x in chosen],
            [f"step {x.step}" for x in chosen],
            "The same latents while training",
            folder / "progress.png",
        )
        frames = [plots.samples.tile(x.images, 8) for x in snapshots]
        plots.samples.animation(frames, folder / "progress.gif")

    conditions = np.arange(6) % len(classes) if conditional else np.zeros(6, int)
    plots.samples.named_rows(
        sampling.interpolations(sampler, state, conditions, COLUMNS),
        [classes[i] for i in conditions] if conditional else [""] * 6,
        "Between two latents",
        folder / "interpolation.png",
    )
    if len(classes) > 1:
        title = "Samples of each class" if conditional else "Samples by predicted class"
        rows = sampling.by_class(drawn, labels, len(classes), COLUMNS)
        plots.samples.named_rows(rows[:20], classes[:20], title, folder / "classes.png")

    typical = sampling.nearest(test[:COMPARED], train, 1).distance.mean()
    found = sampling.nearest(drawn[:10], train)
    plots.samples.neighbours(
        drawn[:10], train[found.index], found.distance[:, 0], typical, folder / "neighbours.png"
    )
