"""What a steering network learns: the angle as a number, or as bins of angles.

As a number (regression): the squared error, in units of the scale. As bins (classification):
cross-entropy with a soft target that decays with the squared distance of a bin from the angle (Diaz
and Marathe 2019, "Soft Labels for Ordinal Regression", CVPR), and the expected angle as the answer.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.train import metrics


class Target(NamedTuple):
    """scale: the angle of one unit of the network's output. centres: angles of the bins; (): none.

    With bins the network gives a logit for each.
    """

    scale: float = 1.0
    centres: tuple[float, ...] = ()


def binned(limit: float, bins: int) -> tuple[float, ...]:
    """The centres of bins that are evenly spaced from -limit to limit; () for 0 bins."""
    return tuple(np.linspace(-limit, limit, bins).tolist())


def target_of(angles: np.ndarray, bins: int) -> Target:
    """The Target of training angles [N]: the scale is their root mean square, bins hold them all.

    So a loss of 1 is that of always straight on.
    """
    scale = max(float(np.sqrt((angles.astype(np.float64) ** 2).mean())), 1e-3)
    return Target(scale, binned(max(float(np.abs(angles).max()), 1e-3), bins))


def angles(target: Target, outputs: Array) -> Array:
    """The angles [...] that outputs of the network mean, [...] or logits [..., bins]."""
    if not target.centres:
        return target.scale * outputs
    return jax.nn.softmax(outputs) @ jnp.array(target.centres)


def losses(target: Target, outputs: Array, angle: Array) -> Array:
    """The losses [...] of outputs, [...] or [..., bins], at the angles that were steered [...]."""
    if not target.centres:
        return ((target.scale * outputs - angle) / target.scale) ** 2
    return metrics.softmax_loss(outputs, soft_bins(target, angle))


def soft_bins(target: Target, angle: Array) -> Array:
    """The distributions over bins [..., bins] that angles [...] are learnt as."""
    centres = jnp.array(target.centres)
    spacing = centres[1] - centres[0]
    return jax.nn.softmax(-0.5 * ((angle[..., None] - centres) / spacing) ** 2)
