"""Evaluation of clips by the features of two classifiers, one of frames and one of clips.

For moving images the labels are the image's class and, for clips, that class with the direction of
motion. Films of several classes have their own. Films without classes are scored by self-supervised
tasks: by how many right angles a frame is rotated (Gidaris et al. 2018, arXiv:1803.07728), and
whether a clip is in order, shuffled, or still; then there are no scores by class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from dljax.apps.gan import feature_extractor
from dljax.data.sources import dataset
from dljax.data.sources.clips import Clips
from dljax.data.sources.dataset import Arrays, Dataset
from dljax.data.sources.moving_images import WAYS
from dljax.gan import assessment, video
from dljax.gan.adversarial import FeatureFunction
from dljax.gan.assessment import Bounds, Extract
from dljax.gan.scores import Features
from dljax.train.metrics import describe

ROTATIONS = ("0", "90", "180", "270 degrees")
ORDERS = ("in order", "shuffled", "still")


class VideoEvaluator(NamedTuple):
    """Scores clips by the features of their frames and of the clips.

    clips, frames: the bounds of either. features: of strips [B, T H, W, C] in 0..1, by the
    classifier of clips; can be traced. test: the real clips uint8 [N, T, H, W, C] that samples are
    compared with. notes: for the user.
    """

    clips: Bounds
    frames: Bounds
    features: FeatureFunction
    test: np.ndarray
    notes: tuple[str, ...]

    def findings(self, samples: Sequence[np.ndarray]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The scores of each seed's samples, for the summary, and as lines for the user."""
        found: dict[str, Any] = {}
        lines: list[str] = []
        for name, bounds, select in (
            ("clips", self.clips, lambda clips: clips),
            ("frames", self.frames, one_frame),
        ):
            scores = [bounds.score(select(clips)) for clips in samples]
            found[name] = {
                "images": bounds.images,
                "seed": bounds.seed,
                "samples": {k: describe([x[k] for x in scores]) for k in scores[0]},
                "real": bounds.real,
                "noise": bounds.noise,
            }
            lines += [f"by the features of {name}:", *assessment.table(bounds, scores)]
            for number, values in enumerate(scores):
                signs = assessment.collapse(values, bounds.real)
                lines += [f"seed number {number}, {name}: {line}" for line in signs]
        motions = [video.motion(clips) for clips in samples]
        real = video.motion(self.test)
        found["motion"] = {
            "samples": {k: describe([x[k] for x in motions]) for k in real},
            "real": real,
        }
        for name, value in real.items():
            mean = np.mean([x[name] for x in motions])
            lines.append(f"{name} of the brightness: real {value:.3f}, samples {mean:.3f}")
        return {"scores": found}, tuple(lines)


def load(clips: Clips, count: int, quiet: bool) -> VideoEvaluator:
    """The evaluator of clips, of which `count` are scored at most.

    Its classifiers are trained once and kept in the user's cache.
    """
    train, test = clips.train["image"], clips.test["image"]
    length = train.shape[1]
    labelled = len(clips.classes) > 1
    frame_data = _frames(clips) if labelled else _rotated(clips)
    clip_data = _motions(clips) if labelled else _ordered(clips)
    of_frames = feature_extractor.load(frame_data, quiet=quiet)
    of_clips = feature_extractor.load(clip_data, quiet=quiet)

    def features(strips: Array) -> tuple[Array, Array]:
        return of_clips.features(video.to_stacks(strips, length))

    def extract(clips: np.ndarray) -> Features:
        return of_clips.extract(_stacks(clips))

    def bounds(extract: Extract, train: np.ndarray, test: np.ndarray) -> Bounds:
        chosen = extract if labelled else lambda images: extract(images)._replace(logits=None)
        return assessment.bounds(chosen, train, test, count)

    by_clip = bounds(extract, train, test)
    by_frame = bounds(of_frames.extract, one_frame(train), one_frame(test))
    note = (
        f"{by_clip.images} clips and frames are scored; test accuracy of the classifiers: "
        f"{of_clips.accuracy:.4f} ({clip_data.name}), {of_frames.accuracy:.4f} ({frame_data.name})"
    )
    return VideoEvaluator(by_clip, by_frame, features, test, (note,))


def one_frame(clips: np.ndarray) -> np.ndarray:
    """A frame of each clip [N, T, ...]: the first of the first, the second of the second, ..."""
    return clips[np.arange(len(clips)), np.arange(len(clips)) % clips.shape[1]]


def _stacks(clips: np.ndarray) -> np.ndarray:
    return video.to_stacks(video.to_strips(clips), clips.shape[1])


def _dataset(clips: Clips, name: str, classes: Sequence[str], part: Callable) -> Dataset:
    train, test = (dataset.labelled(*part(arrays)) for arrays in (clips.train, clips.test))
    return Dataset(f"{name} of {clips.name}", train, test, tuple(classes))


def _frames(clips: Clips) -> Dataset:
    def part(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
        return one_frame(arrays["image"]), arrays["label"]

    return _dataset(clips, "frames", clips.classes, part)


def _motions(clips: Clips) -> Dataset:
    """Clips as stacks; the label is their class and, of moving images, their direction too."""
    if "way" not in clips.train:
        return _dataset(clips, "clips", clips.classes, lambda x: (_stacks(x["image"]), x["label"]))
    classes = [f"{name} {way}" for name in clips.classes for way in WAYS]
    return _dataset(
        clips, "motion", classes,
        lambda x: (_stacks(x["image"]), x["label"] * len(WAYS) + x["way"]),
    )  # fmt: skip


def _rotated(clips: Clips) -> Dataset:
    def part(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
        images = one_frame(arrays["image"])
        rotated = [np.rot90(images, k, (1, 2)) for k in range(len(ROTATIONS))]
        return np.concatenate(rotated), np.repeat(np.arange(len(ROTATIONS)), len(images))

    return _dataset(clips, "rotated frames", ROTATIONS, part)


def _ordered(clips: Clips) -> Dataset:
    def part(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
        films = arrays["image"]
        shuffled = np.random.default_rng(0).permuted(
            np.tile(np.arange(films.shape[1]), (len(films), 1)), axis=1
        )
        others = np.take_along_axis(films, shuffled[:, :, None, None, None], 1)
        still = np.repeat(one_frame(films)[:, None], films.shape[1], 1)
        changed = np.concatenate([films, others, still])
        return _stacks(changed), np.repeat(np.arange(len(ORDERS)), len(films))

    return _dataset(clips, "orders", ORDERS, part)
