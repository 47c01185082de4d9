"""What scores clips: a classifier of frames and one of motion, and the bounds by either.

Of moving images both have true labels: the image's class, and that class together with the way it
goes. Films of several classes have theirs. Films without classes are scored by what can be asked of
any film: by how many right angles a frame is turned (Gidaris et al. 2018, arXiv:1803.07728), and
whether a clip runs as it should, is shuffled, or stands still; no scores by class are given then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from dljax.data.sources.clips import Clips
from dljax.data.sources.dataset import Arrays, Dataset, labelled
from dljax.data.sources.moving_images import WAYS
from dljax.gan import assessment, video
from dljax.gan.assessment import Bounds, Extract
from dljax.gan.scores import Features
from dljax.train.metrics import describe

TURNS = ("0", "90", "180", "270 degrees")
ORDERS = ("as it is", "shuffled", "still")


class Judges(NamedTuple):
    """The bounds of clips and of frames.

    features: of strips [B, T H, W, C] in 0..1, by the classifier of motion; can be traced.
    test: the real clips uint8 [N, T, H, W, C] that samples are compared with. notes: for the user.
    """

    clips: Bounds
    frames: Bounds
    features: Callable[[jax.Array], tuple[jax.Array, jax.Array]]
    test: np.ndarray
    notes: tuple[str, ...]

    def findings(self, drawn: Sequence[np.ndarray]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What goes into the summary, and lines for the user, of each seed's samples."""
        found: dict[str, Any] = {}
        lines: list[str] = []
        for name, bounds, of in (
            ("clips", self.clips, lambda clips: clips),
            ("frames", self.frames, one_frame),
        ):
            scores = [bounds.score(of(clips)) for clips in drawn]
            found[name] = {
                "images": bounds.images,
                "seed": bounds.seed,
                "samples": {k: describe([x[k] for x in scores]) for k in scores[0]},
                "real": bounds.real,
                "noise": bounds.noise,
            }
            lines += [f"by the features of {name}:", *assessment.table(bounds, scores)]
            for number, values in enumerate(scores):
                fallen = assessment.collapse(values, bounds.real)
                lines += [f"seed number {number}, {name}: {line}" for line in fallen]
        moves = [video.motion(clips) for clips in drawn]
        true = video.motion(self.test)
        found["motion"] = {
            "samples": {k: describe([x[k] for x in moves]) for k in true},
            "real": true,
        }
        for name, value in true.items():
            mean = np.mean([x[name] for x in moves])
            lines.append(f"{name} of the brightness: real {value:.3f}, samples {mean:.3f}")
        return {"scores": found}, tuple(lines)


def load(clips: Clips, count: int, quiet: bool) -> Judges:
    """The Judges of clips, trained once and kept in the user's cache; `count` clips are scored."""
    train, test = clips.train["image"], clips.test["image"]
    length = train.shape[1]
    known = len(clips.classes) > 1
    seen, moves = (_frames(clips), _motions(clips)) if known else (_turned(clips), _ordered(clips))
    of_frames, of_clips = (extractor.load(data, quiet=quiet) for data in (seen, moves))

    def features(strips: jax.Array) -> tuple[jax.Array, jax.Array]:
        return of_clips.features(video.to_stacks(strips, length))

    def extract(clips: np.ndarray) -> Features:
        return of_clips.extract(_stacks(clips))

    def scored(extract: Extract, train: np.ndarray, test: np.ndarray) -> Bounds:
        kept = extract if known else lambda images: extract(images)._replace(logits=None)
        return assessment.bounds(kept, train, test, count)

    by_clip = scored(extract, train, test)
    by_frame = scored(of_frames.extract, one_frame(train), one_frame(test))
    note = (
        f"{by_clip.images} clips and frames are scored; test accuracy of the classifiers: "
        f"{of_clips.accuracy:.4f} ({moves.name}), {of_frames.accuracy:.4f} ({seen.name})"
    )
    return Judges(by_clip, by_frame, features, test, (note,))


def one_frame(clips: np.ndarray) -> np.ndarray:
    """A frame of each clip [N, T, ...]: the first of the first, the second of the second, ..."""
    return clips[np.arange(len(clips)), np.arange(len(clips)) % clips.shape[1]]


def _stacks(clips: np.ndarray) -> np.ndarray:
    return video.to_stacks(video.to_strips(clips), clips.shape[1])


def _dataset(clips: Clips, name: str, classes: Sequence[str], part: Callable) -> Dataset:
    train, test = (labelled(*part(arrays)) for arrays in (clips.train, clips.test))
    return Dataset(f"{name} of {clips.name}", train, test, tuple(classes))


def _frames(clips: Clips) -> Dataset:
    def part(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
        return one_frame(arrays["image"]), arrays["label"]

    return _dataset(clips, "frames", clips.classes, part)


def _motions(clips: Clips) -> Dataset:
    """Clips as stacks; the label is their class and, of moving images, their way."""
    if "way" not in clips.train:
        return _dataset(clips, "clips", clips.classes, lambda x: (_stacks(x["image"]), x["label"]))
    classes = [f"{name} {way}" for name in clips.classes for way in WAYS]
    return _dataset(
        clips, "motion", classes,
        lambda x: (_stacks(x["image"]), x["label"] * len(WAYS) + x["way"]),
    )  # fmt: skip


def _turned(clips: Clips) -> Dataset:
    def part(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
        images = one_frame(arrays["image"])
        turned = [np.rot90(images, k, (1, 2)) for k in range(len(TURNS))]
        return np.concatenate(turned), np.repeat(np.arange(len(TURNS)), len(images))

    return _dataset(clips, "turned frames", TURNS, part)


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
