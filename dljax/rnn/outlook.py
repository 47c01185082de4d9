"""A forecast of what nobody knows yet: after the end of a series, in its own unit."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dljax import plots
from dljax.data.sources.series import Series
from dljax.data.windows import Scaler, after_the_end
from dljax.plots import Outlook
from dljax.rnn.assessment import widened
from dljax.rnn.forecasting import Forecaster, say
from dljax.rnn.likelihoods import interval_ends

SHOWN = 4  # panels drawn, at most


class Ahead(NamedTuple):
    """time: [H]. value, low, high: [H, C]; low and high are None where there is no interval."""

    time: np.ndarray
    value: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


def look_ahead(
    forecaster: Forecaster,
    states: Any,
    series: Series,
    facts: Mapping[str, Any],
    level: float,
    dated: bool,
) -> Ahead:
    """The forecast of trained seeds (a Run's states), the mean over them.

    facts: of the run: shapes, columns, freq, scaler, covariate_scaler and, once it has been
    calibrated, levels, radius [H, C] and offsets [H, C, L] (of point forecasts).
    Raises ValueError for a series with another step, other columns, or shorter than the window.
    """
    window, horizon = facts["shapes"][:2]
    if series.freq != facts["freq"] or series.columns != tuple(facts["columns"]):
        raise ValueError(
            f"{series.name} has {', '.join(series.columns)} every {series.freq}; "
            f"the run forecasts {', '.join(facts['columns'])} every {facts['freq']}"
        )
    scaler, covariate_scaler = (
        Scaler(*map(np.asarray, facts[name])) for name in ("scaler", "covariate_scaler")
    )
    batch, time = after_the_end(series, window, horizon, scaler, covariate_scaler, dated=dated)
    said = jax.jit(say, static_argnums=0)(forecaster, states, batch)
    value, quantiles = (np.asarray(x[0]) for x in said)
    levels, radius, offsets = (facts.get(name) for name in ("levels", "radius", "offsets"))
    if offsets is not None:
        quantiles = value[..., None] + np.asarray(offsets)
    levels = levels or forecaster.likelihood.levels
    if not levels:
        return Ahead(time, scaler.undo(value), None, None)
    low, high = (quantiles[..., i] for i in interval_ends(levels, level))
    low, high = widened(value, low, high, 0.0 if radius is None else np.asarray(radius))
    return Ahead(time, *(scaler.undo(x) for x in (value, low, high)))


def rows(series: Series, ahead: Ahead) -> list[dict[str, Any]]:
    """A dict a step: time, and for each column its forecast and the ends of the interval."""
    out = []
    for h, time in enumerate(ahead.time):
        row: dict[str, Any] = {"time": _stamp(time)}
        for c, name in enumerate(series.columns):
            row[name] = float(ahead.value[h, c])
            if ahead.low is not None:
                row |= {f"{name}_low": float(ahead.low[h, c])}
                row |= {f"{name}_high": float(ahead.high[h, c])}
        out.append(row)
    return out


def write(path: Path, series: Series, forecast: list[dict[str, Any]]) -> None:
    """A CSV of the series, with the forecast's `rows` after its end; `kind` tells them apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, ["time", "kind", *list(forecast[0])[1:]])
        writer.writeheader()
        for time, values in zip(series.time, series.values, strict=True):
            seen = dict(zip(series.columns, values.tolist(), strict=True))
            writer.writerow({"time": _stamp(time), "kind": "observed"} | seen)
        for row in forecast:
            writer.writerow({**row, "kind": "forecast"})


def draw(path: Path, series: Series, ahead: Ahead, level: float) -> None:
    """The end of each series (of the first few) and its forecast."""
    past = slice(-4 * len(ahead.time), None)
    outlooks = [
        Outlook(
            name,
            series.time[past],
            series.values[past, c],
            ahead.time,
            ahead.value[:, c],
            bands=[] if ahead.low is None else [(ahead.low[:, c], ahead.high[:, c])],
        )
        for c, name in enumerate(series.columns[:SHOWN])
    ]
    title = f"After the end of {Path(series.name).name}, {level:.0%} interval"
    plots.forecasts(outlooks, title, path)


def _stamp(time: np.datetime64) -> str:
    text = str(time.astype("datetime64[s]"))
    return text.removesuffix("T00:00:00").replace("T", " ")
