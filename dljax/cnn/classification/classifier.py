"""Image classification: a network of your own, a loss, and a Task for the shared loop.

State: parameters, BatchNorm statistics, optimiser state. A batch holds "image" uint8 [B, H, W, C],
or whatever else a model reads in float32 (features [B, D]), and "label" int [B]; evaluation batches
hold "example_mask" [B] too.
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

from dljax.data import augment
from dljax.data.image_scaling import in_floats
from dljax.train import metrics
from dljax.train.loop import Array, Key, Sums, Task
from dljax.train.supervised import State, create_state, gradient_step, merge_params, train_argument


class Views(NamedTuple):
    """The versions of an image whose logits are averaged at evaluation; by default itself alone.

    flip: its mirror image too. shift: also the image moved by so many pixels up and left, and down
    and right, with mirrored borders (after Jordan 2024, arXiv:2404.00498).
    """

    flip: bool = False
    shift: int = 0

    def __call__(self, images: Array) -> list[Array]:
        """Versions of images [B, H, W, C], each of that shape."""
        versions = [images]
        if self.shift:
            _, height, width, _ = images.shape
            border = (self.shift, self.shift)
            padded = jnp.pad(images, ((0, 0), border, border, (0, 0)), mode="reflect")
            for start in (0, 2 * self.shift):
                versions.append(padded[:, start : start + height, start : start + width])
        if self.flip:
            versions += [version[:, :, ::-1] for version in versions]
        return versions


ITSELF = Views()


def task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    *,
    image_shape: tuple[int, ...],
    classes: int,
    normalize: Callable[[Array], Array] = lambda images: images,
    augmentation: Callable[[Key, Array], Array] | None = None,
    mix: Callable[[Key, Array, Array], tuple[Array, Array]] | None = None,
    label_smoothing: float = 0.0,
    views: Views = ITSELF,
) -> Task:
    """Softmax classification of images.

    model: called as model.apply(variables, images [B, H, W, C], train=bool) -> logits [B, classes],
        without train where its __call__ has none; may use "batch_stats" and the rng "dropout".
    augmentation: (key, image [H, W, C] in 0..1) -> image, for each training image.
    mix: (key, images, targets [B, classes]) -> the same, mixup or cutmix; training accuracy is then
        counted against the heavier label.
    views: what of an image is averaged over at evaluation.

    Its init is (key, start) -> State: start, where it is given, is a part of the model's variables
    to begin with in place of fresh ones (of a pretrained network, say).
    """

    def init(key: Key, start: Any = None) -> State:
        blank = jnp.zeros((1, *image_shape))
        logits, variables = model.init_with_output(key, blank, **train_argument(model, False))
        chex.assert_shape(logits, (1, classes))
        return create_state(merge_params(variables, start or {}), tx)

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        chex.assert_shape(batch["image"], (None, *image_shape))
        augment_key, mix_key, dropout_key = (jax.random.fold_in(key, i) for i in range(3))
        images = in_floats(batch["image"])
        if augmentation:
            images = augment.batch(augmentation)(augment_key, images)
        images = normalize(images)
        targets = jax.nn.one_hot(batch["label"], classes)
        if mix:
            images, targets = mix(mix_key, images, targets)

        def loss(params):
            variables = {"params": params, **state.model_state}
            logits, model_state = model.apply(
                variables,
                images,
                **train_argument(model, True),
                rngs={"dropout": dropout_key},
                mutable=list(state.model_state),
            )
            values = metrics.softmax_loss(logits, targets, label_smoothing)
            return values.mean(), (model_state, (logits, values))

        state, (logits, values), gradient_norm = gradient_step(state, tx, loss)
        sums = {
            "loss": metrics.mean(values),
            "accuracy": metrics.accuracy(logits, targets.argmax(-1)),
            "gradient_norm": gradient_norm,
        }
        return state, sums

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        chex.assert_shape(batch["image"], (None, *image_shape))
        logits = predict_logits(model, state, batch["image"], normalize, views)
        labels, mask = batch["label"], batch["example_mask"]
        return {
            "loss": metrics.cross_entropy(logits, labels, mask),
            "accuracy": metrics.accuracy(logits, labels, mask),
            "top_5": metrics.top_k(logits, labels, min(5, classes), mask),
            "per_class_accuracy": metrics.per_class_accuracy(logits, labels, mask),
            "confusion": metrics.confusion(logits, labels, mask),
            "calibration": metrics.calibration(logits, labels, mask),
        }

    return Task(init, step, evaluate)


def predict_logits(
    model: nn.Module,
    state: State,
    images: Array,
    normalize: Callable[[Array], Array] = lambda images: images,
    views: Views = ITSELF,
) -> Array:
    """Logits float32 [B, classes] of uint8 images [B, H, W, C], the mean over their views.

    By the averaged parameters if there are any.
    """
    images = normalize(in_floats(images))
    logits = [
        model.apply(state.variables(), x, **train_argument(model, False)) for x in views(images)
    ]
    return sum(x.astype(jnp.float32) for x in logits) / len(logits)


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Metrics [seeds] on the host: the ratios that are one number, and the calibration error."""
    values = metrics.scalars(sums)
    if "calibration" in sums:
        values["calibration_error"] = metrics.expected_calibration_error(sums["calibration"])
    return values
