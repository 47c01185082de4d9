"""The pictures of a run of a video GAN."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dljax import plots
from dljax.gan import image_plots, sampling, video
from dljax.train.report import read_metrics

ROWS, SIDE = 6, 6  # of strips; of a side of the animated sheet
SECONDS = 0.12  # a frame of an animation


def draw(folder: Path, drawn: np.ndarray, real: np.ndarray, train: np.ndarray) -> None:
    """The pictures of a run in `folder` (workdir/plots); metrics and snapshots lie beside it.

    drawn, real: samples and test clips, train: training clips, all uint8 [N, T, H, W, C].
    """
    metrics = read_metrics(folder.parent)
    plots.samples.outputs(metrics, folder / "discriminator.png")
    frames = drawn.shape[1]
    plots.samples.animation(grids(real), folder / "real.gif", SECONDS)
    plots.samples.animation(grids(drawn), folder / "samples.gif", SECONDS)
    names = ["real"] * ROWS + ["sample"] * ROWS
    plots.samples.named_rows(
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
    plots.samples.named_rows(
        pairs,
        ["sample", "nearest"] * ROWS,
        f"Samples and the nearest of {min(len(train), image_plots.COMPARED)} training clips",
        folder / "neighbours.png",
    )
    snapshots = image_plots.snapshots_in(folder.parent / "snapshots")
    if snapshots:
        stages = np.unique(np.linspace(0, len(snapshots) - 1, image_plots.STAGES, dtype=int))
        chosen = [snapshots[i] for i in stages]
        plots.samples.named_rows(
            [video.to_clips(x.images[:1], frames)[0] for x in chosen],
            [f"step {x.step}" for x in chosen],
            "The same latent while training",
            folder / "progress.png",
        )


def grids(clips: np.ndarray) -> list[np.ndarray]:
    """Clips [N, T, ...] side by side: a sheet uint8 [H, W, C] for each of the T frames."""
    return [plots.samples.tile(clips[: SIDE * SIDE, t], SIDE) for t in range(clips.shape[1])]
