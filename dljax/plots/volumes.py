"""Pictures of segmented volumes: slices with contours, distances between surfaces."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D

from dljax.plots import canvas, masks


def slices(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray | None],
    found: Sequence[np.ndarray],
    titles: Sequence[str],
    classes: Sequence[str],
    path: Path | str,
) -> None:
    """A row for each image: slices through the middle of its structures, with contours.

    images: [X, Y, Z, C] or [H, W, C], of any grey levels. truths, found: class ids; contours of
    truth are dashed, None: there is none. Of a volume the three planes are shown.
    """
    rows, columns = len(images), 3 if images[0].ndim == 4 else 1
    figure = canvas.figure(3.2 * columns, 3.2 * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False)
    colours = masks.palette(len(classes)) / 255
    for row, (image, truth, guess) in enumerate(zip(images, truths, found, strict=True)):
        low, high = np.percentile(image[..., 0], (0.5, 99.5))
        grey = np.clip((image[..., 0] - low) / max(high - low, 1e-6), 0, 1)
        for column, cut in enumerate(_planes(guess if truth is None else truth)):
            panel = axes[row, column]
            canvas.show(panel, _upright(grey, cut))
            for number in range(1, len(classes)):
                for mask, style in ((truth, "--"), (guess, "-")):
                    if mask is not None and (mask[cut] == number).any():
                        shape = _upright(mask, cut) == number
                        panel.contour(
                            shape, [0.5], colors=[colours[number]], linestyles=style, linewidths=0.9
                        )
        axes[row, 0].set_title(titles[row], fontsize=8)
    handles = [
        Line2D([], [], color=colours[number], label=classes[number])
        for number in range(1, len(classes))
    ]
    figure.legend(
        handles=handles, title="solid: predicted, dashed: true", loc="outside lower center",
        ncols=6, fontsize=8, title_fontsize=8,
    )  # fmt: skip
    canvas.save(figure, path)


def _planes(label: np.ndarray) -> list[tuple]:
    """Indices of the slices to show: through the middle of what is no background."""
    if label.ndim == 2:
        return [(slice(None), slice(None))]
    inside = (label > 0) & (label < 255)
    middle = [
        int(x.mean()) if len(x) else n // 2
        for x, n in zip(np.nonzero(inside), label.shape, strict=True)
    ]
    return [
        tuple(middle[axis] if axis == chosen else slice(None) for axis in range(3))
        for chosen in range(3)
    ]


def _upright(array: np.ndarray, cut: tuple) -> np.ndarray:
    """A slice as it is shown: of volumes the second axis goes up."""
    return array[cut] if array.ndim == 2 else array[cut].T[::-1]


def distance_histogram(distances: Mapping[str, np.ndarray], unit: str, path: Path | str) -> None:
    """How many surface voxels lie how far from the other surface, of each class.

    The last bin holds the 0.5 % that lie farther, too.
    """
    figure = canvas.figure(6.0, 3.5)
    axes = figure.add_subplot()
    known = {name: x for name, x in distances.items() if len(x)}
    top = max((float(np.percentile(x, 99.5)) for x in known.values()), default=1.0)
    bins = np.linspace(0, max(top, 1.0), 30)
    colours = masks.palette(len(distances) + 1)[1:] / 255
    for (name, x), colour in zip(known.items(), colours, strict=False):
        label = f"{name}: mean {x.mean():.2f}, 95 % below {np.percentile(x, 95):.2f}"
        weights = np.full(len(x), 1 / len(x))
        axes.hist(
            np.minimum(x, bins[-1]),
            bins,
            weights=weights,
            histtype="step",
            color=colour,
            label=label,
        )
    axes.set_xlabel(f"distance between the surfaces, {unit} (last bin: and farther)")
    axes.set_ylabel("share of surface voxels")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    canvas.save(figure, path)
