"""Scores of angles in open loop: how far predictions are from what a driver steered, in degrees.

They say how well a driver is imitated picture by picture, not whether the car would stay on the
road: `closed_loop` does. Errors of neighbours are alike, so intervals are those of a bootstrap of
blocks of time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.train.bootstrap import Estimate, block_means, estimate, skill

STRAIGHT = 0.5  # degrees, below which a stamp counts as straight on
EDGES = (-10.0, -5.0, -STRAIGHT, STRAIGHT, 5.0, 10.0)  # degrees, between bins of angles
BLOCK = 20  # stamps in a block of the bootstrap: about two seconds


def number_of_bins() -> int:
    """How many bins of angles there are."""
    return len(EDGES) + 1


def bins_of(angle: Array) -> Array:
    """The number of the bin of each angle [N], int."""
    return jnp.searchsorted(jnp.array(EDGES), angle)


class Scores(NamedTuple):
    """Of predictions, all but the last three in degrees.

    mae, rmse: over all stamps. turning_mae: over those not straight. balanced_mae: the mean of the
    MAE of each bin of angles. bias: the mean of the predictions less that of the angles. skill: 1 -
    MSE / MSE of always straight on. unbiased_skill: 1 - variance of the errors / variance of the
    angles, as if the bias were known. correlation: of predictions and angles, NaN where either is
    constant.
    """

    mae: Estimate
    rmse: Estimate
    turning_mae: Estimate
    balanced_mae: float
    bias: Estimate
    skill: Estimate
    unbiased_skill: float
    correlation: float


def scores(predicted: np.ndarray, angle: np.ndarray) -> Scores:
    """The scores of predictions [N] in degrees of the angles [N] steered, in the order of time."""
    predicted, angle = np.asarray(predicted, np.float64), np.asarray(angle, np.float64)
    error, turning = np.abs(predicted - angle), np.abs(angle) > STRAIGHT
    columns = np.stack([error, error**2, error * turning, turning, predicted - angle], -1)
    mean, drawn = columns.mean(0), block_means(columns, BLOCK)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, ratios = mean[2] / mean[3], drawn[:, 2] / drawn[:, 3]
    member = np.searchsorted(EDGES, angle)
    each = [error[member == i].mean() for i in np.unique(member)]
    constant = min(predicted.std(), angle.std()) < 1e-9
    return Scores(
        estimate(mean[0], drawn[:, 0]),
        estimate(np.sqrt(mean[1]), np.sqrt(drawn[:, 1])),
        estimate(ratio, ratios),
        float(np.mean(each)),
        estimate(mean[4], drawn[:, 4]),
        skill(error**2, angle**2, BLOCK),
        float(1 - (predicted - angle).var() / max(angle.var(), 1e-12)),
        float("nan") if constant else float(np.corrcoef(predicted, angle)[0, 1]),
    )


def simple_methods(
    train: np.ndarray, angle: np.ndarray, drive: np.ndarray
) -> dict[str, np.ndarray]:
    """Predictions [N] of what needs no picture. train: angles of the training part [M].

    angle, drive [N]: of the test part, and which drive each stamp is of. 'the last angle' is what
    the driver steered one stamp before; a network that drives has no driver to copy, so it is no
    rival, but shows what an angle error rewards.
    """
    last = np.concatenate([[0.0], angle[:-1]])
    last[np.concatenate([[True], drive[1:] != drive[:-1]])] = 0.0
    return {
        "always straight": np.zeros(len(angle)),
        "the mean": np.full(len(angle), train.mean()),
        "the median": np.full(len(angle), np.median(train)),
        "the last angle": last,
    }


def headline(found: Scores) -> Mapping[str, float]:
    """The scores as metrics, without intervals."""
    return {
        "mae_degrees": found.mae.value,
        "rmse_degrees": found.rmse.value,
        "turning_mae_degrees": found.turning_mae.value,
        "balanced_mae_degrees": found.balanced_mae,
        "bias_degrees": found.bias.value,
        "skill": found.skill.value,
        "correlation": found.correlation,
    }


def against(predicted: np.ndarray, other: np.ndarray, angle: np.ndarray) -> Estimate:
    """1 - MSE / MSE of other predictions, with its interval; above 0 where they are worse."""
    errors = ((np.asarray(x, np.float64) - angle) ** 2 for x in (predicted, other))
    return skill(*errors, BLOCK)
