"""Temperature scaling: probabilities that hold, by one number fitted on a held-out part.

Logits are divided by a temperature T: above 1 a network becomes less confident, below 1 more, and
the class that it names stays (Guo et al. 2017, section 4.2, arXiv:1706.04599). An evaluation sums
the cross-entropy at each of `TEMPERATURES`, so the temperature of a validation part is known after
every evaluation, with no logits kept and no second pass.

A small part of which every example is told rightly would be fitted best by a temperature of 0, so
the logarithm of T has a normal prior, around 0 with deviation `DEVIATION`: some hundred examples
outweigh it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax.train import metrics
from dljax.train.loop import Array, PyTree, Sums

TEMPERATURES = 2.0 ** np.linspace(-3, 3, 49)  # 1/8 to 8, each 9 % above the one before
DEVIATION = 0.5


def sums_at_each(logits: Array, labels: Array, mask: Array | None = None) -> Sums:
    """Cross-entropy [K] and `metrics.calibration` [K, ...] of logits over each of TEMPERATURES.

    logits: [B, C]. labels: int [B].
    """

    def at(temperature: Array) -> tuple[metrics.Pair, metrics.Pair]:
        scaled = logits.astype(jnp.float32) / temperature
        return (
            metrics.cross_entropy(scaled, labels, mask),
            metrics.calibration(scaled, labels, mask),
        )

    nats, calibration = jax.lax.map(at, jnp.asarray(TEMPERATURES, jnp.float32))
    return {"nats_at": nats, "calibration_at": calibration}


def found(sums: Sums) -> dict[str, np.ndarray]:
    """Metrics of an evaluation's `sums_at_each`.

    temperature [S]: the one of the largest posterior, NaN where that is not a number.
    calibration_error [S]: at temperature 1. calibration_error_at [S, K]: at each.
    """
    nats = np.asarray(sums["nats_at"][0], np.float64) + np.log(TEMPERATURES) ** 2 / (
        2 * DEVIATION**2
    )
    known = np.isfinite(nats).any(-1)
    best = TEMPERATURES[np.where(known[:, None], nats, 0).argmin(-1)]
    errors = metrics.expected_calibration_error(sums["calibration_at"])
    return {
        "temperature": np.where(known, best, np.nan),
        "calibration_error": errors[:, len(TEMPERATURES) // 2],
        "calibration_error_at": errors,
    }


def at_those(
    temperatures: Sequence[float],
    summarise: Callable[[Sums], dict[str, np.ndarray]],
    sums: Sums,
) -> dict[str, np.ndarray]:
    """The metrics of other examples, with their calibration error at a run's temperatures.

    temperatures: of the seeds; (): the run has none. The one that fits these labels is left out.
    """
    values = summarise(sums)
    values.pop("temperature", None)
    if temperatures:
        errors = values["calibration_error_at"]
        values["calibration_error_scaled"] = at(errors, np.array(temperatures))
    return values


def at(errors: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """Of errors [S, K] at each of TEMPERATURES, those [S] at the seeds' own temperatures."""
    place = np.abs(np.log(TEMPERATURES) - np.log(temperatures)[:, None]).argmin(-1)
    return np.take_along_axis(errors, place[:, None], -1)[:, 0]


class Choice(NamedTuple):
    """The temperatures that a run predicts with, and what they are worth on its test part.

    temperatures: of the seeds. errors, scaled: calibration errors [S] without and with them.
    fitted: whether there was a validation part; else all temperatures are 1.
    """

    temperatures: tuple[float, ...]
    errors: np.ndarray
    scaled: np.ndarray
    fitted: bool

    @property
    def metrics(self) -> dict[str, np.ndarray]:
        """Of the test part, for an Analysis."""
        return {
            "temperature": np.array(self.temperatures),
            "calibration_error_scaled": self.scaled,
        }

    @property
    def line(self) -> str:
        """The same in words."""
        if not self.fitted:
            return (
                f"calibration error of the test part {self.errors.mean():.3f}; no temperature was "
                "fitted on a validation part"
            )
        values = ", ".join(f"{x:.2f}" for x in self.temperatures)
        return (
            f"calibration error of the test part {self.errors.mean():.3f}, with the temperature of "
            f"validation ({values}) {self.scaled.mean():.3f}"
        )


def choose(scores: Mapping[str, np.ndarray]) -> Choice:
    """The temperatures of the validation part, of the seeds that were not dropped.

    scores: as an Experiment's `analyze` gets them, with what `found` says of both parts; without a
    validation part the temperatures are 1, never those that fit the test part.
    """
    own = np.asarray(scores["temperature"], float)
    fitted = scores.get("validation/temperature")
    values = np.where(np.isnan(own), np.nan, 1.0) if fitted is None else np.asarray(fitted, float)
    rest = np.isfinite(values)
    values, errors = values[rest], scores["calibration_error_at"][rest]
    plain = errors[:, len(TEMPERATURES) // 2]
    return Choice(tuple(values.tolist()), plain, at(errors, values), fitted is not None)


def with_temperatures(states: PyTree, temperatures: Sequence[float] = ()) -> tuple[PyTree, Array]:
    """The states [S, ...] of all seeds, each with what its logits are divided by; (): by 1."""
    seeds = len(jax.tree.leaves(states)[0])
    return states, np.array(temperatures or (1.0,) * seeds, np.float32)
