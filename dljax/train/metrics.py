"""Metrics as sums with denominators, so that every one of them is exact.

On the device a metric is a pair (numerator, denominator) of sums over the examples of one masked
batch. Pairs add up over batches, steps and devices; only the host divides, once, in float64. So a
ratio does not depend on how the examples were cut into batches, and padding never counts.

A sum is float32 on the device: counts are exact up to 2**24 examples per call of the program, and
`add` goes on in float64 from there.

`mask` has the shape [B] of the batch axis (or any shape that is a prefix of the labels' one), 1 for
a real example and 0 for padding; None means that all are real. What padding holds, NaN included,
is never read. Logits may have axes between the batch and the classes ([B, H, W, C], [B, T, C]):
then every position counts as one example.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Pair = tuple[Array, Array]
Sums = Mapping[str, Pair]


# On the device ------------------------------------------------------------------------------------


def mean(values: Array, mask: Array | None = None) -> Pair:
    """Mean of all entries of `values` [B, ...]: (sum, count), two scalars."""
    weight = _weight(mask, values.shape)
    return _masked(values, weight).sum(), weight.sum()


def softmax_loss(
    logits: Array, targets: Array, label_smoothing: float = 0.0, weights: Array | None = None
) -> Array:
    """Cross-entropy of each example in nats.

    logits [..., C]; targets are labels, int [...], or a distribution over the classes [..., C]
    (one-hot, mixup). Smoothing e mixes the target with the uniform distribution:
    (1 - e) target + e / C (Szegedy et al. 2016, section 7). weights [C] multiply the terms of the
    classes, after the smoothing. Returns float32 [...].
    """
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    if weights is not None:
        log_p = log_p * weights
    if targets.ndim == logits.ndim:
        loss = -(targets * log_p).sum(-1)
    else:
        loss = -jnp.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(-1)
    return loss


def cross_entropy(
    logits: Array, targets: Array, mask: Array | None = None, label_smoothing: float = 0.0
) -> Pair:
    """Mean cross-entropy in nats, see `softmax_loss`."""
    return mean(softmax_loss(logits, targets, label_smoothing), mask)


def accuracy(logits: Array, labels: Array, mask: Array | None = None) -> Pair:
    """Share of examples whose largest logit (the first one of equals) is their label's."""
    return mean(logits.argmax(-1) == labels, mask)


def top_k(logits: Array, labels: Array, k: int, mask: Array | None = None) -> Pair:
    """Share of examples whose label is among the k largest logits; of equals, the first count.

    Raises ValueError unless 1 <= k <= number of classes.
    """
    if not 1 <= k <= logits.shape[-1]:
        raise ValueError(f"top_k needs k between 1 and {logits.shape[-1]} classes, got {k}")
    best = jax.lax.top_k(logits, k)[1]
    return mean((best == labels[..., None]).any(-1), mask)


def confusion(logits: Array, labels: Array, mask: Array | None = None) -> Pair:
    """Confusion counts [C, C], true class by predicted class, over the number of examples.

    The numerator is the matrix of counts that one draws; the ratio is the joint distribution.
    """
    classes = logits.shape[-1]
    weight = _weight(mask, labels.shape)
    true = jax.nn.one_hot(labels, classes) * weight[..., None]
    predicted = jax.nn.one_hot(logits.argmax(-1), classes)
    return jnp.einsum("...t,...p->tp", true, predicted), weight.sum()


def per_class_accuracy(logits: Array, labels: Array, mask: Array | None = None) -> Pair:
    """Accuracy of each true class: (correct [C], examples [C]). An absent class becomes NaN."""
    weight = _weight(mask, labels.shape)
    true = jax.nn.one_hot(labels, logits.shape[-1]) * weight[..., None]
    correct = logits.argmax(-1) == labels
    axes = tuple(range(labels.ndim))
    return (true * correct[..., None]).sum(axes), true.sum(axes)


def calibration(logits: Array, labels: Array, mask: Array | None = None, bins: int = 15) -> Pair:
    """Sufficient statistics of the reliability diagram (Guo et al. 2017, section 2).

    Examples fall into `bins` equal intervals ((m - 1) / bins, m / bins] of the confidence, the
    largest softmax probability. Numerator [bins, 2]: summed confidence and number of correct
    examples; denominator [bins]: number of examples. The ratio is (mean confidence, accuracy) of
    each bin; see `expected_calibration_error`.
    """
    weight = _weight(mask, labels.shape)
    confidence = jax.nn.softmax(logits.astype(jnp.float32)).max(-1)
    correct = (logits.argmax(-1) == labels).astype(jnp.float32)
    index = jnp.clip(jnp.ceil(confidence * bins).astype(jnp.int32) - 1, 0, bins - 1)
    member = jax.nn.one_hot(index, bins) * weight[..., None]
    values = _masked(jnp.stack([confidence, correct], -1), weight[..., None])
    axes = tuple(range(labels.ndim))
    return (member[..., None] * values[..., None, :]).sum(axes), member.sum(axes)


def _weight(mask: Array | None, shape: tuple[int, ...]) -> Array:
    """The mask as float32 of the given shape, repeated over the axes it lacks."""
    if mask is None:
        return jnp.ones(shape, jnp.float32)
    mask = mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))
    return jnp.broadcast_to(mask, shape).astype(jnp.float32)


def _masked(values: Array, weight: Array) -> Array:
    """values * weight, 0 where the weight is 0 even if the value is not finite."""
    return jnp.where(weight > 0, values.astype(jnp.float32) * weight, 0.0)


# On the host --------------------------------------------------------------------------------------


def add(a: Sums, b: Sums) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Sum of two `Sums` in float64 numpy; a name that one of them lacks counts as zero there."""
    zero = (0.0, 0.0)
    return {
        name: tuple(
            np.asarray(x, np.float64) + np.asarray(y, np.float64)
            for x, y in zip(a.get(name, zero), b.get(name, zero), strict=True)
        )
        for name in {**a, **b}
    }


def ratios(sums: Sums) -> dict[str, np.ndarray]:
    """Numerator over denominator of each metric in float64, NaN where the denominator is 0.

    The axes of a denominator are the leading ones of its numerator (the seeds, then for instance
    the classes), so [S, C, C] over [S] divides each seed's matrix by that seed's count.
    """
    return {name: _ratio(*pair) for name, pair in sums.items()}


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    denominator = denominator.reshape(
        denominator.shape + (1,) * (numerator.ndim - denominator.ndim)
    )
    safe = np.where(denominator == 0, np.nan, denominator)
    return numerator / safe


def expected_calibration_error(pair: Pair) -> np.ndarray:
    """Expected calibration error from `calibration` sums ([..., bins, 2], [..., bins]).

    sum over bins of n_m / n |accuracy_m - confidence_m| (Guo et al. 2017, equation 3), with the
    leading axes (seeds) kept. NaN without examples.
    """
    sums, count = np.asarray(pair[0], np.float64), np.asarray(pair[1], np.float64)
    return _ratio(np.abs(sums[..., 1] - sums[..., 0]).sum(-1), count.sum(-1))


def scalars(sums: Sums) -> dict[str, np.ndarray]:
    """The `ratios` [S] of those metrics that are one number a seed."""
    return {name: value for name, value in ratios(sums).items() if value.ndim == 1}


def describe(values: np.ndarray) -> dict[str, float | list[float]]:
    """Mean, sample standard deviation (ddof 1; 0 for one seed) and list of the values [S].

    A seed whose value is NaN (it was dropped) stays in the list but out of mean and deviation;
    they are NaN if no seed is left.
    """
    values = np.asarray(values, np.float64)
    rest = values[~np.isnan(values)]
    mean, std = np.nan, np.nan
    if rest.size:
        with np.errstate(invalid="ignore"):  # infinite values have no deviation
            mean, std = rest.mean(), rest.std(ddof=1) if rest.size > 1 else 0.0
    return {"mean": float(mean), "std": float(std), "per_seed": values.tolist()}
