"""Semantic segmentation: a network of your own, a loss, and a Task for the shared loop.

State: parameters, BatchNorm statistics, optimiser state. A batch holds "image" uint8 [B, H, W, C]
and "mask" [B, H, W], class ids with IGNORE (255) where a pixel does not count; evaluation batches
hold "example_mask" [B] too. Volumes have one axis more, and no `Views`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dljax.cnn.segmentation import losses, segmentation_metrics
from dljax.cnn.segmentation.losses import Loss
from dljax.cnn.segmentation.tiling import tiled
from dljax.data import augment_pairs
from dljax.data.image_scaling import in_floats
from dljax.train import metrics
from dljax.train.loop import Array, Key, Sums, Task
from dljax.train.supervised import State, create_state, gradient_step, merge_params, train_argument


class Views(NamedTuple):
    """How an image is looked at when it is evaluated.

    flip: its mirror image too, whose probabilities are averaged. window: height and width of
    overlapping windows; (): the whole image at once. overlap: of the windows, pixels. multiple: of
    what the network's height and width must be multiples; images are mirrored at their border.
    stride: of the network's coarsest map, at multiples of which windows begin.
    """

    flip: bool = False
    window: tuple[int, ...] = ()
    overlap: int = 0
    multiple: int = 1
    stride: int = 1


WHOLE = Views()


def task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    *,
    image_shape: tuple[int, ...],
    classes: int,
    normalize: Callable[[Array], Array] = lambda images: images,
    augmentation: augment_pairs.Augment | None = None,
    loss: Loss | None = None,
    views: Views = WHOLE,
) -> Task:
    """Softmax classification of every pixel.

    model: called as model.apply(variables, images [B, H, W, C], train=bool) -> logits
        [B, H, W, classes], without train where its __call__ has none; may use "batch_stats" and
        the rng "dropout".
    image_shape: of what the network is trained on, after `augmentation`: (key, image in 0..1, mask)
        -> (image, mask), which may crop.
    loss: of `losses`; None: cross-entropy.

    Its init is (key, start) -> State: start, where it is given, is a part of the model's variables
    to begin with in place of fresh ones (of a pretrained backbone).
    """
    minimised = loss or losses.cross_entropy()

    def init(key: Key, start: Any = None) -> State:
        blank = jnp.zeros((1, *image_shape))
        logits, variables = model.init_with_output(key, blank, **train_argument(model, False))
        chex.assert_shape(logits, (1, *image_shape[:-1], classes))
        return create_state(merge_params(variables, start or {}), tx)

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        augment_key, dropout_key = (jax.random.fold_in(key, i) for i in range(2))
        images, labels = in_floats(batch["image"]), batch["mask"].astype(jnp.int32)
        if augmentation:
            images, labels = augment_pairs.batch(augmentation)(augment_key, images, labels)
        chex.assert_shape(images, (None, *image_shape))
        images = normalize(images)

        def loss(params: Any) -> tuple[Array, tuple[Any, Any]]:
            logits, model_state = model.apply(
                {"params": params, **state.model_state},
                images,
                **train_argument(model, True),
                rngs={"dropout": dropout_key},
                mutable=list(state.model_state),
            )
            value = minimised(logits, labels)
            return value, (model_state, (logits, value))

        state, (logits, value), gradient_norm = gradient_step(state, tx, loss)
        ids, counts = losses.known(labels)
        right = (logits.argmax(-1) == ids) * counts
        sums = {
            "loss": (value, jnp.float32(1)),
            "pixel_accuracy": (right.sum(), counts.sum()),
            "gradient_norm": gradient_norm,
        }
        return state, sums

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        p = probabilities(model, state, batch["image"], normalize, views)
        labels, mask = batch["mask"].astype(jnp.int32), batch["example_mask"]
        ids, counts = losses.known(labels)
        counts = counts * mask.reshape(-1, *(1 for _ in labels.shape[1:]))
        true = jnp.take_along_axis(p, ids[..., None], -1)[..., 0]
        values = -jnp.log(jnp.maximum(true, 1e-12)) * counts
        return {
            "loss": (values.sum(), counts.sum()),
            "confusion": segmentation_metrics.confusion(p.argmax(-1), labels, classes, mask),
        }

    return Task(init, step, evaluate)


def probabilities(
    model: nn.Module,
    state: State,
    images: Array,
    normalize: Callable[[Array], Array],
    views: Views = WHOLE,
) -> Array:
    """Class probabilities float32 [B, H, W, classes] of uint8 images [B, H, W, C].

    By the averaged parameters if there are any.
    """
    variables = state.variables()

    def whole(x: Array) -> Array:
        logits = model.apply(variables, x, **train_argument(model, False))
        return jax.nn.softmax(logits.astype(jnp.float32))

    def once(x: Array) -> Array:
        if views.window:
            return tiled(whole, x, views.window, views.overlap, views.stride)
        if views.multiple == 1:
            return whole(x)
        height, width = x.shape[1:3]
        rows, columns = -height % views.multiple, -width % views.multiple
        x = jnp.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="symmetric")
        return whole(x)[:, :height, :width]

    x = normalize(in_floats(images))
    if not views.flip:
        return once(x)
    return (once(x) + once(x[:, :, ::-1])[:, :, ::-1]) / 2


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Metrics on the host: [seeds] miou, pixel_accuracy, mean_dice, ..., and loss."""
    values = metrics.scalars(sums)
    if "confusion" in sums:
        counts, pixels = sums["confusion"]
        del pixels
        values |= segmentation_metrics.from_confusion(counts)
    return values
