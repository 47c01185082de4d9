"""A convex combination of a network with simple forecasts, by weights chosen on validation windows.

Combined forecasts are seldom worse than the best of their parts (Bates and Granger 1969; Timmermann
2006), if the weights are few and shrunk. Here there are four, the same for all steps and columns:
of the last value, the mean of the training part, ridge regression and the network. They are fitted
by stacking (Breiman 1996) and moved from the best simple forecast towards the fitted ones only as
far as cross-validation over time justifies by its one-standard-error rule (Hastie et al. 2009,
section 7.10). So a network that does not help has no weight. Weights below 0.05 are left out. The
network's quantiles lie around the combined forecast, at distances that one factor scales.

Forecasts and truth are [N, H, C], scaled, at consecutive origins.
"""

from __future__ import annotations

import base64
import itertools
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dljax.data.windows import Windows
from dljax.rnn.forecasting.assessment import Forecast, Forecasts, joined, without_quantiles
from dljax.rnn.forecasting.baselines import LinearMap, linear_map, ridge_choices
from dljax.rnn.forecasting.forecaster import Blend
from dljax.train.bootstrap import block_means

NETWORK = "network"
SIMPLE = ("last value", "mean", "ridge")  # the simplest first
WORDS = {"last value": "the last value", "mean": "the mean", "ridge": "ridge regression"}
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
SMALLEST = 0.05  # weight
SPREADS = np.geomspace(1 / 64, 4, 49)
FOLDS = 4

Parts = Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]]


class Combination(NamedTuple):
    """weights: of each forecast, from 0 and 1 in all. reference: the best simple forecast.

    spread: factor of the distances of the network's quantiles from its value.

    share: how far the weights were moved from the reference's alone towards the fitted ones.
    losses: share -> mean loss of the cross-validated forecasts, relative to that of ridge.
    """

    weights: dict[str, float]
    reference: str
    share: float
    losses: dict[float, float]
    spread: float = 1.0

    def __call__(self, forecasts: Mapping[str, np.ndarray]) -> np.ndarray:
        """The combined forecast of those of each name."""
        return sum(np.float32(w) * forecasts[name] for name, w in self.weights.items() if w)

    def line(self) -> str:
        """What was chosen, in words."""
        used = ", ".join(f"{name} {w:.3g}" for name, w in self.weights.items() if w)
        if self.share == 0:
            return (
                "Combined: the validation part does not show that the network improves on "
                f"{WORDS[self.reference]}, whose forecast is used, with the network's interval "
                "around it."
            )
        return f"Combined, by weights chosen on the validation part: {used}."


def choose(parts: Parts) -> Combination | None:
    """The weights that the validation part of each series justifies.

    parts: of each series the truth, and the forecasts of SIMPLE and NETWORK by name. None where the
    windows are too few for cross-validation.
    """
    names = (*SIMPLE, NETWORK)
    errors = [np.stack([f[n] - truth for n in names], -1, dtype=np.float64) for truth, f in parts]
    units = _units(errors)
    losses = np.concatenate([_loss(x, units) for x in errors])  # [windows, K]
    horizon = errors[0].shape[1]
    reference = _simplest(losses[:, : len(SIMPLE)], horizon)
    start = np.eye(len(names))[reference]
    tried: list[list[np.ndarray]] = [[] for _ in SHARES]
    for k in range(FOLDS):
        rest, fold = zip(*(_fold(x, k) for x in errors), strict=True)
        if not all(sum(map(len, x)) for x in (rest, fold)):
            return None
        fitted = _fitted(rest)
        for share, found in zip(SHARES, tried, strict=True):
            weights = start + share * (fitted - start)
            found.append([_loss((x @ weights)[..., None], units)[:, 0] for x in fold])
    # In the order of the series, then of time.
    crossed = np.stack(
        [np.concatenate([x for one in zip(*found, strict=True) for x in one]) for found in tried],
        -1,
    )
    best = _simplest(crossed, horizon)
    weights = start + SHARES[best] * (_fitted(errors) - start)
    return Combination(
        {name: float(w) for name, w in zip(names, weights, strict=True)},
        SIMPLE[reference],
        SHARES[best],
        dict(zip(SHARES, crossed.mean(0).tolist(), strict=True)),
    )


def to_json(found: Blend) -> dict[str, Any]:
    """A Blend for metadata.json, its arrays as text: float32, compressed, in base64."""

    def packed(x: np.ndarray) -> dict[str, Any]:
        content = zlib.compress(np.ascontiguousarray(x, "<f4").tobytes())
        return {"shape": x.shape, "float32_zlib_base64": base64.b64encode(content).decode()}

    numbers = {"share": found.share, "spread": found.spread}
    return {"matrix": packed(found.matrix), "bias": packed(found.bias)} | numbers


def from_json(metadata: Mapping[str, Any]) -> Blend:
    """The Blend that `to_json` wrote."""

    def unpacked(entry: Mapping[str, Any]) -> np.ndarray:
        content = zlib.decompress(base64.b64decode(entry["float32_zlib_base64"]))
        return np.frombuffer(content, "<f4").reshape(entry["shape"])

    arrays = (unpacked(metadata[name]) for name in ("matrix", "bias"))
    return Blend(*arrays, metadata["share"], metadata["spread"])


def convex_weights(gram: np.ndarray) -> np.ndarray:
    """The weights w [K] from 0 and 1 in all that minimise w G w, exactly, for a few forecasts.

    gram: [K, K], the mean products of the forecasts' errors: w G w is the combination's squared
    error. On each subset of forecasts the minimum without the bounds has a closed form; the best of
    those within the bounds is the minimum.
    """
    count = len(gram)
    best = np.eye(count)[np.argmin(np.diag(gram))]
    floor = 1e-9 * np.trace(gram) / count
    for size in range(2, count + 1 if floor > 0 else 0):
        for subset in itertools.combinations(range(count), size):
            part = gram[np.ix_(subset, subset)] + floor * np.eye(size)
            free = np.linalg.solve(part, np.ones(size))
            if (free < 0).any():
                continue
            found = np.zeros(count)
            found[list(subset)] = free / free.sum()
            if found @ gram @ found < best @ gram @ best:
                best = found
    return best


def fitted_ridge(data: Windows) -> LinearMap:
    """Ridge regression as in baselines.py; of several series, on all of them together."""
    known = []
    for part, _ in data.each():
        first, end = part.split.validation
        known.append((part.values[:end], end - first))
    return linear_map(known, data.window, data.horizon, ridge_choices())


def of_network(
    network: Forecasts, data: Windows, levels: Sequence[float]
) -> tuple[Combination, Blend, Forecasts] | None:
    """The combination of a network's forecasts, as a `Blend`, and its own Forecasts.

    The quantiles of the network move with its value. None as of `choose`.
    """
    ridge = fitted_ridge(data)
    each = list(zip(network.parts or (network,), (part for part, _ in data.each()), strict=True))
    found = choose(
        [
            (
                part.truth("validation"),
                _simple_forecasts(part, "validation", ridge) | {NETWORK: alone.validation.values},
            )
            for alone, part in each
        ]
    )
    if found is None:
        return None
    if each[0][0].offsets is None:
        found = found._replace(spread=_spread(found, each, ridge, levels))
    combined = joined([_combined(found, alone, part, ridge, levels) for alone, part in each])
    if network.seeds is not None:
        simple = [_simple_forecasts(part, "test", ridge) for _, part in each]
        of_all = {name: np.concatenate([x[name] for x in simple])[:, None] for name in SIMPLE}
        seeds = found(of_all | {NETWORK: network.seeds})
        combined = combined._replace(seeds=np.broadcast_to(seeds, network.seeds.shape))
    return found, blend(found, ridge), combined


def blend(found: Combination, ridge: LinearMap) -> Blend:
    """The combination as a `Blend` for a Forecaster: its simple parts are one map of the window."""
    matrix, bias = (found.weights["ridge"] * x for x in ridge)
    matrix[:, -1] += found.weights["last value"]
    return Blend(
        matrix.astype(np.float32), bias.astype(np.float32), found.weights[NETWORK], found.spread
    )


def _simple_forecasts(data: Windows, part: str, ridge: LinearMap) -> dict[str, np.ndarray]:
    origins = data.origins[part]
    last = np.repeat(data.values[origins - 1][:, None], data.horizon, 1)
    return {"last value": last, "mean": np.zeros_like(last), "ridge": ridge(data.values, origins)}


def _combined(
    found: Combination,
    alone: Forecasts,
    data: Windows,
    ridge: LinearMap,
    levels: Sequence[float],
) -> Forecasts:
    """Of one series."""
    values = {}
    for part in ("validation", "test"):
        network = getattr(alone, part).values
        values[part] = found(_simple_forecasts(data, part, ridge) | {NETWORK: network})
    if alone.offsets is not None:
        truth = data.truth("validation")
        return without_quantiles(values["validation"], values["test"], truth, levels)

    def moved(part: str) -> Forecast:
        before, after = getattr(alone, part), values[part]
        return Forecast(
            after, lambda i: after + np.float32(found.spread) * (before.quantile(i) - before.values)
        )

    return Forecasts(moved("validation"), moved("test"))


def _spread(
    found: Combination,
    each: Sequence[tuple[Forecasts, Windows]],
    ridge: LinearMap,
    levels: Sequence[float],
) -> float:
    """The one of SPREADS whose quantiles have the least pinball loss on the validation windows."""
    losses = np.zeros(len(SPREADS))
    for alone, part in each:
        network = alone.validation.values
        simple = _simple_forecasts(part, "validation", ridge)
        error = part.truth("validation") - found(simple | {NETWORK: network})
        for i, tau in enumerate(levels):
            distance = alone.validation.quantile(i) - network
            for k, spread in enumerate(SPREADS):
                over = error - np.float32(spread) * distance
                losses[k] += np.maximum(tau * over, (tau - 1) * over).sum(dtype=np.float64)
    return float(SPREADS[losses.argmin()])


def _fold(errors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The windows that share no row of their futures with the fold's, and those of fold k."""
    n, horizon = errors.shape[:2]
    first, end = n * k // FOLDS, n * (k + 1) // FOLDS
    before, after = errors[: max(first - horizon + 1, 0)], errors[end + horizon - 1 :]
    return np.concatenate([before, after]), errors[first:end]


def _fitted(errors: Sequence[np.ndarray]) -> np.ndarray:
    """The convex weights of errors [N, H, C, K], those below SMALLEST left out."""
    gram = _gram(errors)
    kept = np.flatnonzero(convex_weights(gram) >= SMALLEST)
    weights = np.zeros(len(gram))
    weights[kept] = convex_weights(gram[np.ix_(kept, kept)])
    return weights


def _gram(errors: Sequence[np.ndarray]) -> np.ndarray:
    flat = np.concatenate([x.reshape(-1, x.shape[-1]) for x in errors])
    return flat.T @ flat / len(flat)


def _units(errors: Sequence[np.ndarray]) -> tuple[float, float]:
    """Ridge's mean squared and absolute error, 1 in place of 0."""
    flat = np.concatenate([x[..., SIMPLE.index("ridge")].ravel() for x in errors])
    return np.square(flat).mean() or 1.0, np.abs(flat).mean() or 1.0


def _loss(errors: np.ndarray, units: tuple[float, float]) -> np.ndarray:
    """[N, H, C, K] -> [N, K]: the mean of squared and absolute errors, each in its unit."""
    square, absolute = np.square(errors).mean((1, 2)), np.abs(errors).mean((1, 2))
    return (square / units[0] + absolute / units[1]) / 2


def _simplest(losses: np.ndarray, horizon: int) -> int:
    """The first column of losses [N, K] that is within one standard error of the best one."""
    worse = losses - losses[:, [losses.mean(0).argmin()]]
    error = block_means(worse, horizon).std(0)
    return int(np.argmax(worse.mean(0) <= error))
