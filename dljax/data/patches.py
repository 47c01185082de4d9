"""Random patches of images of unequal size, cut on the device: the feed of segmentation.

All images lie on the device one after another, as rows of voxels; the item of a step is the number
and the first voxel of each of its patches, drawn on the host from (seed, step).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dljax.data import feed
from dljax.data.feed import MASK, Batch, Examples, Feed

IGNORE = 255
REMEMBERED = 5000  # voxels of each class of each image that patches are centred on

Array = jax.Array
Pair = tuple[np.ndarray, np.ndarray]  # image float32 [*sides, C] and mask uint8 [*sides]


def training(
    pairs: Sequence[Pair], patch: tuple[int, ...], batch_size: int, foreground: float
) -> Feed:
    """Batches {"image": [B, *patch, C], "mask": [B, *patch]} of random patches.

    foreground: share of the patches that have a voxel in their middle, or near it, of a class that
    is not the first one, each class of an image as often as another. Patches lie inside of images
    that are large enough; beyond an image's border lies its mirror image, and the mask is IGNORE.
    """
    known = [_places(mask) for _, mask in pairs]

    def draw(seed: int, step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([seed, step])
        index = rng.integers(len(pairs), size=batch_size).astype(np.int32)
        starts = [
            _start(rng, pairs[i][1].shape, patch, known[i] if chosen else [])
            for i, chosen in zip(index, rng.random(batch_size) < foreground, strict=True)
        ]
        return {"index": index, "start": np.array(starts, np.int32)}

    def chunk(seed: int, step: int, k: int) -> dict[str, np.ndarray]:
        return jax.tree.map(lambda *x: np.stack(x), *(draw(seed, step + i) for i in range(k)))

    return Feed(chunk, partial(_cut, patch), _flat(pairs))


def examples(
    pairs: Sequence[Pair], patch: tuple[int, ...], batch_size: int, multiple: int = 1
) -> Examples:
    """Patches side by side that cover every voxel of every image once."""
    places = [
        (number, *start)
        for number, (_, mask) in enumerate(pairs)
        for start in itertools.product(
            *(range(0, n, p) for n, p in zip(mask.shape, patch, strict=True))
        )
    ]
    table = np.array(places, np.int32)
    rows = feed.examples({"index": table[:, 0], "start": table[:, 1:]}, batch_size, multiple)

    def batch(arrays: dict[str, Array], item: dict[str, Array]) -> Batch:
        return {**_cut(patch, arrays, item), MASK: item[MASK]}

    return Examples(rows.items, batch, _flat(pairs))


def _flat(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    sizes = [mask.size for _, mask in pairs]
    if sum(sizes) >= 2**31:
        raise ValueError(f"{sum(sizes)} voxels in one part are more than 2^31: resample to fewer")
    channels = pairs[0][0].shape[-1]
    return {
        "image": np.concatenate([image.reshape(-1, channels) for image, _ in pairs]),
        "mask": np.concatenate([mask.ravel() for _, mask in pairs]),
        "first": np.cumsum([0, *sizes[:-1]]).astype(np.int32),
        "sides": np.array([mask.shape for _, mask in pairs], np.int32),
    }


def _cut(patch: tuple[int, ...], arrays: dict[str, Array], item: dict[str, Array]) -> Batch:
    """The voxels of patches, by their numbers in the rows of all images."""
    index, inside = arrays["first"][item["index"]], jnp.bool_(True)
    index = index.reshape(-1, *(1 for _ in patch))
    sides = arrays["sides"][item["index"]]
    for axis, length in enumerate(patch):
        shape = [-1 if i == axis else 1 for i in range(len(patch))]
        at = item["start"][:, axis].reshape(-1, *(1 for _ in patch)) + jnp.arange(length).reshape(
            shape
        )
        side = sides[:, axis].reshape(-1, *(1 for _ in patch))
        stride = sides[:, axis + 1 :].prod(1).reshape(-1, *(1 for _ in patch))
        inside = inside & (at >= 0) & (at < side)
        mirrored = jnp.where(at < 0, -1 - at, jnp.where(at < side, at, 2 * side - 1 - at))
        index = index + stride * jnp.clip(mirrored, 0, side - 1)
    image = arrays["image"][index]
    return {"image": image, "mask": jnp.where(inside, arrays["mask"][index], jnp.uint8(IGNORE))}


def _places(mask: np.ndarray) -> list[np.ndarray]:
    """Some voxels [n, axes] of each class but the first, of those that the mask has."""
    rng = np.random.default_rng(0)
    found = []
    for number in np.unique(mask):
        if number not in (0, IGNORE):
            flat = np.flatnonzero(mask == number)
            chosen = rng.choice(flat, min(len(flat), REMEMBERED), replace=False)
            found.append(np.stack(np.unravel_index(chosen, mask.shape), 1))
    return found


def _start(
    rng: np.random.Generator,
    sides: tuple[int, ...],
    patch: tuple[int, ...],
    places: Sequence[np.ndarray],
) -> np.ndarray:
    """The first voxel of a random patch; of a smaller image, which lies in the middle, below 0."""
    room = np.array(sides) - patch
    if places:
        voxels = places[rng.integers(len(places))]
        start = voxels[rng.integers(len(voxels))] - rng.integers(patch)
    else:
        start = rng.integers(np.maximum(room, 0) + 1)
    return np.where(room < 0, room // 2, np.clip(start, 0, np.maximum(room, 0)))
