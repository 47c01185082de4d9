"""Differentiable augmentation of the images that a discriminator is given, to train on few images.

DiffAugment (Zhao et al. 2020, arXiv:2006.10738) changes every image, real and fake alike; adaptive
augmentation (ADA, Karras et al. 2020, arXiv:2006.06676) changes each image with a probability p
that is raised while the discriminator separates training images too well from fake ones. Both are
pure functions (key, images [B, H, W, C] in -1..1) -> images, through which gradients reach the
generator. With p < 1 some images pass unchanged, so that the generator does not
learn to generate augmented images.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from dljax.data import augment

Transform = Callable[[Array, Array], Array]  # (key, image [H, W, C]) -> image


def brightness(key: Array, image: Array) -> Array:
    """Adds a level from -0.5 to 0.5."""
    return image + jax.random.uniform(key, minval=-0.5, maxval=0.5)


def contrast(key: Array, image: Array) -> Array:
    """Multiplies the distance from the mean by 0.5 to 1.5."""
    mean = image.mean()
    return mean + (image - mean) * jax.random.uniform(key, minval=0.5, maxval=1.5)


def saturation(key: Array, image: Array) -> Array:
    """Multiplies the distance from the pixel's mean over channels by 0 to 2 (grey: unchanged)."""
    mean = image.mean(-1, keepdims=True)
    return mean + (image - mean) * jax.random.uniform(key, maxval=2.0)


def translation(key: Array, image: Array) -> Array:
    """Shifts by up to an eighth of each side; the border is filled with the background, -1."""
    height, width, _ = image.shape
    reach = jnp.array([-(-height // 8), -(-width // 8)])
    move = jax.random.randint(key, (2,), -reach, reach + 1)
    padded = jnp.pad(
        image,
        ((height // 2, height // 2), (width // 2, width // 2), (0, 0)),
        constant_values=-1,
    )
    start = (height // 2 - move[0], width // 2 - move[1], 0)
    return jax.lax.dynamic_slice(padded, start, image.shape)


def cutout(key: Array, image: Array) -> Array:
    """Fills a square of half the side with mid-grey, 0; part of it may lie outside."""
    return augment.cutout(image.shape[0] // 2)(key, image)


def flip(key: Array, image: Array) -> Array:
    """Mirrors left and right."""
    del key
    return image[:, ::-1]


def affine(key: Array, image: Array) -> Array:
    """Turns by up to 30 degrees and magnifies by 0.8 to 1.25."""
    return augment.affine(30.0, scale=(0.8, 1.25), fill=-1.0)(key, image)


POLICIES: dict[str, tuple[Transform, ...]] = {
    "colour": (brightness, saturation, contrast),
    "translation": (translation,),
    "cutout": (cutout,),
    "flip": (flip,),
    "affine": (affine,),
}


def chain(names: Sequence[str]) -> Callable[[Array, Array, Array | float], Array]:
    """The transforms of the named policies as one function (key, images [B, H, W, C], p) -> images.

    Each transform is applied to each image with probability p, independently; p = 1: DiffAugment.
    Raises ValueError for an unknown policy.
    """
    unknown = [name for name in names if name not in POLICIES]
    if unknown:
        raise ValueError(f"unknown policy {unknown[0]!r}; choose among {', '.join(POLICIES)}")
    transforms = [t for name in names for t in POLICIES[name]]

    def one(key: Array, image: Array, p: Array | float) -> Array:
        for number, transform in enumerate(transforms):
            chosen, drawn = jax.random.split(jax.random.fold_in(key, number))
            changed = jax.random.bernoulli(chosen, p)
            image = jnp.where(changed, transform(drawn, image), image)
        return image

    def apply(key: Array, images: Array, p: Array | float) -> Array:
        return jax.vmap(one, (0, 0, None))(jax.random.split(key, len(images)), images, p)

    return apply


def adapt(p: Array, real: Array, images: int, target: float = 0.6, ramp: int = 20_000) -> Array:
    """The probability of ADA after `images` more images, with the logits `real` [B].

    r = E[sign(D(real))] (Karras et al. 2020, equation 1) above the target indicates overfitting:
    p rises, else it falls, from 0 to 1 within `ramp` images.
    """
    direction = jnp.sign(jnp.sign(real).mean() - target)
    return jnp.clip(p + direction * images / ramp, 0, 1)
