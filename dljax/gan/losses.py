"""Adversarial losses: what the discriminator and the generator minimise, of logits [B] each.

A loss is a pair of functions (real logits, fake logits) -> values [B]; their mean is minimised.
Real and fake logits of one position are a pair where the loss is relativistic, and only there does
the generator's loss depend on the real ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.nn import relu, softplus

Values = Callable[[Array, Array], Array]


class Loss(NamedTuple):
    """discriminator, generator: (real [B], fake [B]) -> values [B], to be minimised."""

    discriminator: Values
    generator: Values


non_saturating = Loss(
    lambda real, fake: softplus(-real) + softplus(fake),
    lambda real, fake: softplus(-fake),
)
"""Goodfellow et al. 2014 (arXiv:1406.2661), section 3, with the generator's -log D."""

hinge = Loss(
    lambda real, fake: relu(1 - real) + relu(1 + fake),
    lambda real, fake: -fake,
)
"""Lim and Ye 2017 (arXiv:1705.02894); Miyato et al. 2018 (arXiv:1802.05957), equations 16, 17."""

least_squares = Loss(
    lambda real, fake: 0.5 * jnp.square(real - 1) + 0.5 * jnp.square(fake),
    lambda real, fake: 0.5 * jnp.square(fake - 1),
)
"""Mao et al. 2017 (arXiv:1611.04076), equation 9: targets 1 for real, 0 for fake."""

wasserstein = Loss(
    lambda real, fake: fake - real,
    lambda real, fake: -fake,
)
"""Arjovsky et al. 2017 (arXiv:1701.07875), equations 2 and 3; needs a gradient penalty."""

relativistic = Loss(
    lambda real, fake: softplus(fake - real),
    lambda real, fake: softplus(real - fake),
)
"""Jolicoeur-Martineau 2018 (arXiv:1807.00734) in pairs, as Huang et al. 2024 (arXiv:2501.05441)."""

LOSSES = {
    "non_saturating": non_saturating,
    "hinge": hinge,
    "least_squares": least_squares,
    "wasserstein": wasserstein,
    "relativistic": relativistic,
}
