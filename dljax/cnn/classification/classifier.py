"""Image classification: a network of your own, a loss, and a Task for the shared loop.

State: parameters, BatchNorm statistics, optimiser state. A batch holds "image" uint8 [B, H, W, C],
or whatever else a model reads in float32 (features [B, D]), and "label": int [B], or as of another
`Target`, int [B, K] or float [B]; evaluation batches hold "example_mask" [B] too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from dljax.cnn.classification import targets
from dljax.cnn.classification.targets import Target
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
    """Softmax classification of images: the `image_task` of `targets.one_class`."""
    return image_task(
        model,
        tx,
        targets.one_class(classes, label_smoothing),
        image_shape=image_shape,
        normalize=normalize,
        augmentation=augmentation,
        mix=mix,
        views=views,
    )


def image_task(
    model: nn.Module,
    tx: optax.GradientTransformation,
    target: Target,
    *,
    image_shape: tuple[int, ...],
    normalize: Callable[[Array], Array] = lambda images: images,
    augmentation: Callable[[Key, Array], Array] | None = None,
    mix: Callable[[Key, Array, Array], tuple[Array, Array]] | None = None,
    views: Views = ITSELF,
) -> Task:
    """A network of images that is trained for a target.

    model: called as model.apply(variables, images [B, H, W, C], train=bool) -> [B, outputs], the
        logits of classes or labels, or a number, without train where its __call__ has none; may use
        "batch_stats" and the rng "dropout".
    augmentation: (key, image [H, W, C] in 0..1) -> image, for each training image.
    mix: (key, images, targets [B, outputs]) -> the same, mixup or cutmix; training accuracy is then
        counted against the heavier label.
    views: what of an image is averaged over at evaluation.

    Its init is (key, start) -> State: start, where it is given, is a part of the model's variables
    to begin with in place of fresh ones (of a pretrained network, say).
    """

    def init(key: Key, start: Any = None) -> State:
        blank = jnp.zeros((1, *image_shape))
        outputs, variables = model.init_with_output(key, blank, **train_argument(model, False))
        chex.assert_shape(outputs, (1, target.outputs))
        return create_state(merge_params(variables, start or {}), tx)

    def step(state: State, batch: dict[str, Array], key: Key) -> tuple[State, Sums]:
        chex.assert_shape(batch["image"], (None, *image_shape))
        augment_key, mix_key, dropout_key = (jax.random.fold_in(key, i) for i in range(3))
        images = in_floats(batch["image"])
        if augmentation:
            images = augment.batch(augmentation)(augment_key, images)
        images, encoded = normalize(images), target.encode(batch["label"])
        if mix:
            images, encoded = mix(mix_key, images, encoded)

        def loss(params):
            variables = {"params": params, **state.model_state}
            outputs, model_state = model.apply(
                variables,
                images,
                **train_argument(model, True),
                rngs={"dropout": dropout_key},
                mutable=list(state.model_state),
            )
            values = target.losses(outputs, encoded)
            return values.mean(), (model_state, (outputs, values))

        state, (outputs, values), gradient_norm = gradient_step(state, tx, loss)
        sums = {
            "loss": metrics.mean(values),
            **target.progress(outputs, encoded),
            "gradient_norm": gradient_norm,
        }
        return state, sums

    def evaluate(state: State, batch: dict[str, Array], key: Key) -> Sums:
        del key
        chex.assert_shape(batch["image"], (None, *image_shape))
        outputs = predict_logits(model, state, batch["image"], normalize, views)
        return target.evaluate(outputs, batch["label"], batch["example_mask"])

    return Task(init, step, evaluate)


def predict_logits(
    model: nn.Module,
    state: State,
    images: Array,
    normalize: Callable[[Array], Array] = lambda images: images,
    views: Views = ITSELF,
) -> Array:
    """Outputs float32 [B, outputs] of uint8 images [B, H, W, C], the mean over their views.

    By the averaged parameters if there are any.
    """
    images = normalize(in_floats(images))
    logits = [
        model.apply(state.variables(), x, **train_argument(model, False)) for x in views(images)
    ]
    return sum(x.astype(jnp.float32) for x in logits) / len(logits)
