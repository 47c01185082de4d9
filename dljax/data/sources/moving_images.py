"""Clips made from labelled images: each moves over a black canvas and bounces off its sides.

Moving MNIST (Srivastava et al. 2015, arXiv:1502.04681, section 4.1) with one image a clip. The
motion is known, so it can be a label: the direction of the first step.
"""

import numpy as np

SLOWEST, FASTEST = 0.06, 0.14  # canvas sides a frame
WAYS = ("up left", "up right", "down left", "down right")


def move(
    images: np.ndarray, labels: np.ndarray, size: int, frames: int, count: int, seed: int
) -> dict[str, np.ndarray]:
    """Clips of images [N, h, w, C] on canvases of `size` pixels a side, drawn from the seed.

    Every image is taken equally often; its start, its direction (uniform over all angles) and its
    constant speed (SLOWEST to FASTEST) are drawn. Between pixels the image is interpolated.

    Returns:
      {'image': uint8 [count, frames, size, size, C], 'label': int32 [count], the image's,
      'way': int32 [count], index into WAYS of the direction of the first step}.

    Raises:
      ValueError: an image is no smaller than the canvas, or there are fewer than two frames.
    """
    _, height, width, channels = images.shape
    room = np.array([size - height, size - width])
    if frames < 2:
        raise ValueError(f"a clip has two frames or more, not {frames}")
    if room.min() < 1:
        raise ValueError(f"images of {height} x {width} do not move on a canvas of side {size}")
    rng = np.random.default_rng(seed)
    index = np.concatenate([rng.permutation(len(images)) for _ in range(-(-count // len(images)))])
    index = index[:count]
    start = rng.uniform(0, 1, (count, 1, 2)) * room
    angle, speed = rng.uniform(0, 2 * np.pi, count), rng.uniform(SLOWEST, FASTEST, count) * size
    velocity = speed[:, None] * np.stack([np.sin(angle), np.cos(angle)], -1)
    places = bounce(start + velocity[:, None] * np.arange(frames)[:, None], room)
    down, right = (places[:, 1] > places[:, 0]).T
    clips = np.zeros((count, frames, size, size, channels), np.uint8)
    for clip, which, path in zip(clips, index, places, strict=True):
        for frame, place in zip(clip, path, strict=True):
            _put(frame, images[which], place)
    return {
        "image": clips,
        "label": np.asarray(labels[index], np.int32),
        "way": 2 * down.astype(np.int32) + right,
    }


def bounce(places: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Places [..., 2] of free motion reflected at walls at 0 and `room` [2]."""
    return room - np.abs(np.mod(places, 2 * room) - room)


def _put(frame: np.ndarray, image: np.ndarray, place: np.ndarray) -> None:
    """Adds an image [h, w, C] to a black frame with its corner at `place`, between pixels too."""
    height, width, _ = image.shape
    corner = np.minimum(place.astype(int), np.array(frame.shape[:2]) - (height + 1, width + 1))
    corner = np.maximum(corner, 0)
    (y, x), (b, a) = corner, place - corner
    wide = np.zeros((height + 1, width + 1, image.shape[2]))
    for row, vertical in ((0, 1 - b), (1, b)):
        for column, level in ((0, 1 - a), (1, a)):
            wide[row : row + height, column : column + width] += vertical * level * image
    frame[y : y + height + 1, x : x + width + 1] = np.round(wide)
