"""What a network reads of an image: its pixels, or features of a frozen pretrained backbone.

Features are the backbone's map of stride 16, its mean over each row: a head that turns moves the
parts of a face sideways, not up or down. They are computed once: of each training image and of
augmented copies of it, of every other image and of its mirror image. Training then costs no
convolution at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax.apps import backbones
from dljax.apps.configs.face_recognition import Config
from dljax.cnn.faces.recogniser import mirrored
from dljax.data import augment
from dljax.data.image_scaling import Normalize, in_floats
from dljax.train.loop import Array, Key

LEVEL = 3  # of the backbone's maps: that of stride 16
AT_ONCE = 64  # images


class Front(NamedTuple):
    """What comes before the trained network.

    normalize: of the network's inputs. views: versions of an image at evaluation, in what is
    evaluated. augmentation: in training. weights: of the frozen backbone; None: there is none.
    features: (weights, images in 0..1 [B, H, W, C]) -> [B, D], of the backbone. shape: of what the
    network reads.
    """

    normalize: Callable[[Array], Array]
    views: Callable[[Array], Sequence[Array]]
    augmentation: Callable[[Key, Array], Array] | None
    shape: tuple[int, ...]
    weights: Any = None
    features: Callable[[Any, Array], Array] | None = None

    def prepare(self, weights: Any, images: Array, flip: bool) -> Array:
        """What the network evaluates of uint8 images [B, H, W, C], of features with all views."""
        if self.features is None:
            return images
        images = in_floats(images)
        versions = mirrored(images) if flip else [images]
        return jnp.stack([self.features(weights, x) for x in versions], 1)


def front(config: Config, shape: tuple[int, int, int], normalize: Normalize) -> Front:
    """The front end of a Config for images of this shape; normalize: of the pixels of a CNN."""
    if config.model == "cnn":
        views = mirrored if config.flip else _itself
        return Front(normalize, views, augmentation(config), shape)
    backbone = backbones.load(config.model)
    module = backbone.module(dtype=jnp.dtype(config.dtype))

    @jax.jit
    def features(weights: Any, images: Array) -> Array:
        images = jnp.repeat(images, 3, -1) if images.shape[-1] == 1 else images
        found = module.apply(weights, backbone.normalize(images), train=False)[LEVEL]
        return (
            found.astype(jnp.float32)
            .mean(2)
            .reshape(images.shape[0], found.shape[1] * found.shape[3])
        )

    found = jax.eval_shape(features, backbone.variables, jnp.zeros((1, *shape))).shape[1:]
    return Front(
        lambda x: x, _unstacked, _one_copy if config.views or config.flip else _first, found,
        backbone.variables, features,
    )  # fmt: skip


def training_arrays(
    config: Config, front: Front, images: np.ndarray, inputs: np.ndarray
) -> np.ndarray:
    """What the network trains on of images [N, H, W, C]: those, or features [N, copies, D].

    inputs: what is evaluated of them. The copies are those, the image and with --flip its mirror
    image, and `config.views` augmented ones, drawn by the split's seed.
    """
    if front.features is None:
        return images
    function, versions = augmentation(config), [inputs]
    if function:
        augmented = jax.jit(augment.batch(function))
        for view in range(config.views):
            key = jax.random.fold_in(jax.random.key(config.split_seed), view)

            def copy(images: Array, start: int, key: Key = key) -> Array:
                changed = augmented(jax.random.fold_in(key, start), in_floats(images))
                return front.features(front.weights, changed)[:, None]

            versions.append(_in_pieces(copy, images))
    return np.concatenate(versions, 1)


def evaluated(front: Front, images: np.ndarray, flip: bool) -> np.ndarray:
    """What the network evaluates of images [N, H, W, C]: those, or features [N, views, D]."""
    if front.features is None or not len(images):
        return images
    return _in_pieces(lambda x, i: front.prepare(front.weights, x, flip), images)


def _in_pieces(function: Callable[[Array, int], Array], images: np.ndarray) -> np.ndarray:
    """The function of images AT_ONCE at a time, the last of them filled up with black ones.

    So one compiled program of the backbone serves all parts.
    """
    found = []
    for start in range(0, len(images), AT_ONCE):
        piece = images[start : start + AT_ONCE]
        short = AT_ONCE - len(piece)
        filled = np.pad(piece, ((0, short), *((0, 0),) * (images.ndim - 1)))
        found.append(np.asarray(function(jnp.asarray(filled), start))[: len(piece)])
    return np.concatenate(found)


def augmentation(config: Config) -> Callable[[Key, Array], Array] | None:
    """The random changes of a training image that the flags name."""
    parts = []
    if config.rotation or config.shift or config.zoom:
        scale = (1 - config.zoom, 1 + config.zoom)
        parts.append(augment.affine(config.rotation, config.shift, scale, fill=0.5))
    if config.flip:
        parts.append(augment.flip())
    if config.light:
        parts.append(augment.color_jitter(config.light, config.light))
    if config.blur:
        parts.append(augment.blur(config.blur))
    return augment.chain(*parts) if parts else None


def _itself(images: Array) -> list[Array]:
    return [images]


def _unstacked(features: Array) -> list[Array]:
    """Features [B, views, D] as a list of [B, D]."""
    return [features[:, i] for i in range(features.shape[1])]


def _one_copy(key: Key, copies: Array) -> Array:
    """One of the features [copies, D] of an image, at random."""
    return copies[jax.random.randint(key, (), 0, len(copies))]


def _first(key: Key, copies: Array) -> Array:
    del key
    return copies[0]
