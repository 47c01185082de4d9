"""Recorded drives made ready for the loop: split in time, side cameras, balance, record.

Neighbouring pictures are almost equal, so that a random split would test on what was trained on.
A drive is cut into stretches of time instead: its last part is tested on, the one before it
validates, with a gap between them. Angles are in degrees from here on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dljax.data.record import DataRecord
from dljax.data.record_kinds import repeated
from dljax.data.sources.cache import crc
from dljax.data.sources.driving import Recording, frames
from dljax.data.sources.driving.frames import Framing

PARTS = ("train", "validation", "test")
BINS = 25  # of the angles, for their balance


class Shares(NamedTuple):
    """validation, test: of each drive. gap: stamps left out between two parts of a drive."""

    validation: float = 0.1
    test: float = 0.2
    gap: int = 10


class Stretch(NamedTuple):
    """The centre pictures of a part, uint8 [N, h, w, 3], and what was steered then.

    angle: float32 [N], degrees. drive: int32 [N], the number of the drive. time: float64 [N] within
    it, or the number of the stamp. files: of the pictures.
    """

    image: np.ndarray
    angle: np.ndarray
    drive: np.ndarray
    time: np.ndarray
    files: tuple[str, ...]


def split(
    parts: Mapping[str, Sequence[Recording]], shares: Shares
) -> tuple[dict[str, list[Recording]], tuple[str, ...]]:
    """The stretches of time of each part; parts that the set has are kept. Notes for the user.

    Raises ValueError where nothing is left to train on, or to test on.
    """
    wanted = {
        part: 0.0 if parts.get(part) else share
        for part, share in (("validation", shares.validation), ("test", shares.test))
    }
    found = {part: list(parts.get(part, ())) for part in PARTS}
    found["train"] = []
    for recording in parts["train"]:
        for part, picked in cuts(recording.stamps, wanted, shares.gap).items():
            if picked.stop > picked.start:
                found[part].append(recording.cut(picked))
    for part in ("train", "test"):
        if not found[part]:
            lengths = ", ".join(f"{x.name} {x.stamps}" for x in parts["train"][:5])
            raise ValueError(f"no stamps are left for {part}: the drives have {lengths} stamps")
    notes = tuple(
        f"{part}: {where} of each drive of train, {shares.gap} stamps before it are left out"
        for part, where in (
            ("test", f"the last {wanted['test']:.0%}"),
            ("validation", f"the {wanted['validation']:.0%} before"
             if wanted["test"] else f"the last {wanted['validation']:.0%}"),
        )
        if wanted[part]
    )  # fmt: skip
    return {part: x for part, x in found.items() if x}, notes


def cuts(length: int, shares: Mapping[str, float], gap: int) -> dict[str, slice]:
    """Where the parts of a drive lie: train, a gap, validation, a gap, test.

    shares: of 'validation' and 'test'. A drive that is too short for all is trained on as a whole.
    """
    end, found = length, {}
    for part in ("test", "validation"):
        count = round(shares[part] * length)
        if count:
            found[part] = slice(end - count, end)
            end -= count + gap
    if end < 1:
        return {"train": slice(0, length)}
    return {"train": slice(0, end), **found}


def stretch(recordings: Sequence[Recording], framing: Framing, degrees: float) -> Stretch:
    """The centre pictures of some drives. degrees: that a steering of 1 stands for."""
    counts = [x.stamps for x in recordings]
    times = [np.arange(x.stamps, dtype=float) if x.time is None else x.time for x in recordings]
    return Stretch(
        np.concatenate([frames.read(x, "center", framing) for x in recordings]),
        np.concatenate([_angle(x, degrees) for x in recordings]),
        np.repeat(np.arange(len(recordings), dtype=np.int32), counts),
        np.concatenate(times),
        tuple(file for x in recordings for file in x.cameras["center"]),
    )


def side_cameras(
    recordings: Sequence[Recording], framing: Framing
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """'left' and 'right' -> their pictures, and int [N] of which stamps of the drives together."""
    starts = np.cumsum([0, *(x.stamps for x in recordings)])
    found = {}
    for camera in ("left", "right"):
        having = [i for i, x in enumerate(recordings) if camera in x.cameras]
        if having:
            pictures = [frames.read(recordings[i], camera, framing) for i in having]
            stamps = [np.arange(starts[i], starts[i + 1]) for i in having]
            found[camera] = np.concatenate(pictures), np.concatenate(stamps)
    return found


def examples(
    centre: Stretch,
    sides: Mapping[str, tuple[np.ndarray, np.ndarray]],
    correction: float,
    balance: float,
    smooth: int,
) -> dict[str, np.ndarray]:
    """What is trained on: {"image", "angle": float32 [N], degrees, "weight": float32 [N]}.

    sides: of `side_cameras`. correction: degrees to add for the left camera, and to subtract for
    the right one. balance: see `balanced_weights`. smooth: see `smoothed`.
    """
    weight = balanced_weights(centre.angle, balance)
    angle = smoothed(centre.angle, centre.drive, smooth)
    images, angles, weights = [centre.image], [angle], [weight]
    for camera, (pictures, stamps) in sides.items():
        images.append(pictures)
        angles.append(angle[stamps] + (correction if camera == "left" else -correction))
        weights.append(weight[stamps])
    return {
        "image": np.concatenate(images),
        "angle": np.concatenate(angles).astype(np.float32),
        "weight": np.concatenate(weights).astype(np.float32),
    }


def smoothed(angle: np.ndarray, drive: np.ndarray, width: int) -> np.ndarray:
    """The mean over `width` stamps around each one, as far as they are of its drive; 0, 1: none."""
    if width < 2:
        return angle
    half, out = width // 2, np.empty(len(angle))
    for number in np.unique(drive):
        own = np.flatnonzero(drive == number)
        sums = np.concatenate([[0.0], np.cumsum(angle[own], dtype=np.float64)])
        low = np.maximum(np.arange(len(own)) - half, 0)
        high = np.minimum(np.arange(len(own)) + half + 1, len(own))
        out[own] = (sums[high] - sums[low]) / (high - low)
    return out


def balanced_weights(angle: np.ndarray, power: float) -> np.ndarray:
    """Weights [N] of angles [N] by how rare they are: (1 / their bin's count) ** power, mean 1.

    BINS bins of equal width, the middle one around 0. power 0 weighs all alike, 1 all bins.
    """
    limit = max(float(np.abs(angle).max()), 1e-6)
    member = np.clip(np.round((angle / limit + 1) / 2 * (BINS - 1)), 0, BINS - 1).astype(int)
    weight = (1 / np.bincount(member, minlength=BINS).clip(1))[member] ** power
    return weight / weight.mean()


def record(
    parts: Mapping[str, Stretch], recordings: Mapping[str, Sequence[Recording]], straight: float
) -> DataRecord:
    """What was read: stamps, drives, angles, cameras, speed.

    straight: degrees, below which an angle counts as straight on.
    """
    every = np.concatenate([x.angle for x in parts.values()])
    steps = np.concatenate(
        [np.diff(x.time) for drives in recordings.values() for x in drives if x.time is not None]
        or [np.zeros(0)]
    )
    summary = {
        "stamps": {part: len(x.angle) for part, x in parts.items()},
        "drives": {part: len(x) for part, x in recordings.items()},
        "shape": list(parts["train"].image.shape[1:]),
        "degrees": [round(float(every.min()), 4), round(float(every.max()), 4)],
        "percent of stamps straight": {
            part: round(100 * float((np.abs(x.angle) < straight).mean()), 1)
            for part, x in parts.items()
        },
        "root mean square of degrees": {
            part: round(float(np.sqrt((x.angle.astype(np.float64) ** 2).mean())), 4)
            for part, x in parts.items()
        },
        "cameras": list(recordings["train"][0].cameras),
    }
    if len(steps):
        summary["median step of time"] = round(float(np.median(steps)), 6)
    speeds = [x.speed for drives in recordings.values() for x in drives if x.speed is not None]
    if speeds:
        speeds = np.concatenate(speeds)
        summary["speed"] = [round(float(f(speeds)), 4) for f in (np.min, np.max)]
    digests = {
        f"{part} {kind}": f"{crc(getattr(x, kind)):08x}"
        for part, x in parts.items()
        for kind in ("image", "angle")
    }
    return DataRecord(summary, digests, remarks=_twins(parts))


def _twins(parts: Mapping[str, Stretch]) -> tuple[str, ...]:
    """A line where pictures of the test part are trained on too, bit for bit."""
    test = repeated([parts["train"].image, parts["test"].image])[1]
    count = int((test == 0).sum())
    lines = (f"{count} of {len(test)} test pictures are also in train, bit for bit",)
    return lines[: count > 0]


def _angle(recording: Recording, degrees: float) -> np.ndarray:
    return (recording.steering * degrees).astype(np.float32)
