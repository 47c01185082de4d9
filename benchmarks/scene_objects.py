"""What a segmentation of scenes gets wrong: the classes of whole digits, or where they end.

    python -m benchmarks.scene_objects --workdir=runs/image_segmentation-scenes [--scenes=500]

Prints the mIoU of the run in WORKDIR on test scenes; what it would be if every pixel that is
rightly found to be ink had its true class; the share of digits whose class most of their pixels
have; and the mIoU of the true masks where each digit has that class.
"""

from __future__ import annotations

import argparse

import numpy as np

from dljax.apps import image_segmentation
from dljax.apps.configs.image_segmentation import Config
from dljax.cnn.segmentation.baselines import counts
from dljax.cnn.segmentation.segmentation_metrics import from_confusion
from dljax.data.sources.scenes import MASK_CLASSES, OBJECTS, scenes
from dljax.train import export

AT_ONCE = 50
CLASSES = len(MASK_CLASSES)


def miou(predicted: np.ndarray, true: np.ndarray) -> float:
    """Of masks [N, H, W]."""
    return float(from_confusion(counts(predicted, true, CLASSES))["miou"])


def voted(
    predicted: np.ndarray, true: np.ndarray, instance: np.ndarray
) -> tuple[np.ndarray, float]:
    """Masks [N, H, W] in which each digit has the class that most of its pixels were given.

    And the share of digits whose true class that is.
    """
    found, right = np.zeros_like(predicted), []
    for k in range(1, OBJECTS + 1):
        for guess, truth, objects, result in zip(predicted, true, instance, found, strict=True):
            inside = objects == k
            votes = np.bincount(guess[inside], minlength=CLASSES)[1:]
            if votes.any():
                result[inside] = 1 + votes.argmax()
            if inside.any():
                right.append((result[inside] == truth[inside]).all())
    return found, float(np.mean(right))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", default="runs/image_segmentation-scenes", help="of the run")
    parser.add_argument("--scenes", type=int, default=500, help="test scenes that are looked at")
    flags = parser.parse_args()
    model = image_segmentation.serving(Config(workdir=flags.workdir))
    test = scenes(flags.scenes, "test")
    parts = np.split(test["image"], range(AT_ONCE, flags.scenes, AT_ONCE))
    answers = [export.answers(model, {"image": part})["probability"] for part in parts]
    predicted = np.concatenate([x.argmax(-1) for x in answers]).astype(np.uint8)
    true = test["mask"]
    votes, right = voted(predicted, true, test["instance"])
    known = np.where((predicted > 0) & (true > 0), true, predicted)
    print(f"mIoU {miou(predicted, true):.4f}")
    print(f"with the true class where ink is seen: mIoU {miou(known, true):.4f}")
    print(f"digits that most of their pixels name rightly: {right:.4f}")
    print(f"the true masks with the class of most of their pixels: mIoU {miou(votes, true):.4f}")


if __name__ == "__main__":
    main()
