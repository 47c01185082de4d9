"""What a run of a video GAN leaves to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dljax.gan import image_plots, sampling, video
from dljax.plots import learning_curves, samples
from dljax.train.report import read_metrics

ROWS, SIDE = 6, 6  # of strips, and of the sheet of clips that plays
SECONDS = 0.12  # a frame of an animation


def draw(folder: Path, drawn: np.ndarray, real: np.ndarray, train: np.ndarray) -> None:
    """The pictures of a run in `folder` (workdir/plots); metrics and snapshots lie beside it.

    drawn, real: samples and test clips, train: training clips, all uint8 [N, T, H, W, C].
    """
    metrics = read_metrics(folder.parent)
    learning_curves(metrics, folder / "learning_curves.png")
    samples.outputs(metrics, folder / "discriminator.png")
    frames = drawn.shape[1]
    samples.animation(playing(real), folder / "real.gif", SECONDS)
    samples.animation(playing(drawn), folder / "samples.gif", SECONDS)
    names = ["real"] * ROWS + ["sample"] * ROWS
    samples.named_rows(
        [*real[:ROWS], *drawn[:ROWS]], names, "Clips, frame by frame", folder / "strips.png"
    )
    found = sampling.nearest(
        video.to_strips(drawn[:ROWS]), video.to_strips(train[: image_plots.COMPARED]), 1
    )
    pairs = [
        clip
        for row, index in zip(drawn, found.index[:, 0], strict=False)
        for clip in (row, train[index])
    ]
    samples.named_rows(
        pairs,
        ["sample", "nearest"] * ROWS,
        f"Samples and the nearest of {min(len(train), image_plots.COMPARED)} training clips",
        folder / "neighbours.png",
    )
    snapshots = image_plots.kept(folder.parent / "snapshots")
    if snapshots:
        stages = np.unique(np.linspace(0, len(snapshots) - 1, image_plots.STAGES, dtype=int))
        chosen = [snapshots[i] for i in stages]
        samples.named_rows(
            [video.to_clips(x.images[:1], frames)[0] for x in chosen],
            [f"step {x.step}" for x in chosen],
            "The same latent while training",
            folder / "progress.png",
        )


def playing(clips: np.ndarray) -> list[np.ndarray]:
    """Sheets uint8 [H, W, C] of clips [N, T, ...] side by side, one sheet a frame."""
    return [samples.tile(clips[: SIDE * SIDE, t], SIDE) for t in range(clips.shape[1])]
