"""What segmentation is compared with: simple methods that learn nothing of what a pixel shows.

The commonest class, the commonest class at each place, and of two classes a threshold of grey.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

import numpy as np
from scipy import ndimage

from dljax.cnn.segmentation.losses import IGNORE, frequencies
from dljax.cnn.segmentation.segmentation_metrics import (
    from_confusion,
    mean_of_known,
    v_rand,
)

Predict = Callable[[np.ndarray], np.ndarray]  # uint8 images [N, H, W, C] -> class ids [N, H, W]

TRIED = 32  # training images that `threshold` is chosen on, at most
SMOOTHING = (0.0, 1.0, 2.0, 4.0)  # standard deviations, pixels, of which `threshold` chooses one


def counts(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Confusion counts [C, C] of class ids [N, H, W]; predicted may be [H, W], for all images."""
    predicted = np.broadcast_to(predicted, labels.shape)
    inside = labels != IGNORE
    index = labels[inside].astype(int) * classes + predicted[inside]
    return np.bincount(index, minlength=classes**2).reshape(classes, classes)


def majority(train: np.ndarray, classes: int) -> int:
    """The class of most labelled pixels of masks [N, H, W]."""
    return int(frequencies(train, classes).argmax())


def majority_by_place(train: np.ndarray, classes: int) -> np.ndarray:
    """The commonest class of each place [H, W] in masks [N, H, W]."""
    votes = np.stack([(train == number).sum(0) for number in range(classes)])
    return votes.argmax(0)


def otsu(grey: np.ndarray) -> float:
    """The threshold of grey levels that separates two groups best (Otsu 1979, equation 18).

    Largest variance between the groups, over 256 bins; the upper edge of the last bin below.
    """
    levels, edges = np.histogram(grey, 256)
    share = np.cumsum(levels) / levels.sum()
    mean = np.cumsum(levels * (edges[:-1] + edges[1:]) / 2) / levels.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (mean[-1] * share - mean) ** 2 / (share * (1 - share))
    return float(edges[1 + int(np.argmax(np.nan_to_num(between[:-1])))])


def threshold(images: np.ndarray, masks: np.ndarray) -> tuple[str, Predict]:
    """Otsu's threshold of each image after smoothing, for two classes: (its name, the method).

    images: uint8 [N, H, W, C], masks: [N, H, W], of which the mIoU chooses the smoothing and
    which class is the bright one.
    """

    def method(sigma: float, bright: int) -> Predict:
        def of_image(image: np.ndarray) -> np.ndarray:
            grey = ndimage.gaussian_filter(image.mean(-1), sigma)
            return np.where(grey > otsu(grey), bright, 1 - bright)

        return lambda images: np.stack([of_image(image) for image in images])

    tried = {(sigma, bright): method(sigma, bright) for sigma in SMOOTHING for bright in (0, 1)}
    score = {
        setting: from_confusion(counts(predict(images), masks, 2))["miou"]
        for setting, predict in tried.items()
    }
    sigma, bright = max(score, key=score.get)
    return f"Otsu's threshold, smoothed by {sigma:g} pixels", tried[sigma, bright]


def simple_methods(
    images: np.ndarray, masks: np.ndarray, classes: tuple[str, ...]
) -> dict[str, Predict]:
    """name -> method, made from training images uint8 [N, H, W, C] and masks [N, H, W]."""
    most, places = majority(masks, len(classes)), majority_by_place(masks, len(classes))

    def always(ids: np.ndarray) -> Predict:
        return lambda images: np.broadcast_to(ids, images.shape[:3])

    name = f"all {classes[most]}" if len(classes) == 2 else "most frequent class"
    found = {name: always(np.array(most)), "most frequent class of each place": always(places)}
    if len(classes) == 2:
        few = np.unique(np.linspace(0, len(images) - 1, TRIED).astype(int))
        name, predict = threshold(images[few], masks[few])
        found[name] = predict
    return found


def scores(
    methods: dict[str, Predict],
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    classes: tuple[str, ...],
    looked_at: Container[int],
) -> dict[str, dict[str, float]]:
    """name -> mIoU, pixel accuracy, mean Dice on (images [N, H, W, C], masks [N, H, W]) of a set.

    Of two classes also the IoU of both, and V_rand of the second one's segments: its mean over the
    images of the indices `looked_at`.
    """
    total = {name: np.zeros((len(classes),) * 2) for name in methods}
    segments: dict[str, list[float]] = {name: [] for name in methods}
    first = 0
    for images, masks in batches:
        chosen = [k for k in range(len(images)) if len(classes) == 2 and first + k in looked_at]
        for name, predict in methods.items():
            guess = predict(images)
            total[name] += counts(guess, masks, len(classes))
            segments[name] += [float(v_rand(guess[k], masks[k] == 1)[0]) for k in chosen]
        first += len(images)
    found = {}
    for name in methods:
        values = from_confusion(total[name])
        found[name] = {k: float(values[k]) for k in ("miou", "pixel_accuracy", "mean_dice")}
        if len(classes) == 2:
            found[name]["v_rand"] = mean_of_known(segments[name])
            iou = zip(classes, values["iou"], strict=True)
            found[name] |= {f"iou_{name}": float(x) for name, x in iou}
    return found
