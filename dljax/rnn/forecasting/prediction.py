"""Forecasts beyond the end of a series, in its own unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax import plots
from dljax.data.sources.series import Series
from dljax.data.windows import Scaler, after_the_end, scaled
from dljax.rnn.forecasting.forecaster import Forecaster, Shapes, mean_forecast
from dljax.rnn.forecasting.likelihoods import interval_ends
from dljax.train.export import Field, Serving, answers
from dljax.train.files import write_csv
from dljax.train.supervised import State

SHOWN = 4  # panels drawn, at most


class Prediction(NamedTuple):
    """time: [H]. value, low, high: [H, C]; low and high are None where there is no interval."""

    time: np.ndarray
    value: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


def serving(
    forecaster: Forecaster, states: State, metadata: Mapping[str, Any], level: float
) -> Serving:
    """The forecast of trained seeds (a Run's states) for unscaled windows, in the series' unit.

    metadata: of the run: shapes, columns, covariates and known (their names), freq, step, unit
    ("none": the series' own, else its transform), scaler, covariate_scaler and, once calibrated,
    radius [H, C] and, of point forecasts, the quantiles' offsets [H, C, L] and levels.
    Its outputs are "value" and, where there is an interval, "low" and "high".
    """
    held: dict[str, Any] = {"states": states.without_optimiser()}
    for name in ("scaler", "covariate_scaler"):
        held[name] = Scaler(*(np.asarray(x, np.float32) for x in metadata[name]))
    if metadata.get("radius") is not None:
        held["radius"] = np.asarray(metadata["radius"], np.float32)
    if metadata.get("offsets") is not None:
        ends = np.array(interval_ends(metadata["levels"], level))
        held["offsets"] = np.asarray(metadata["offsets"], np.float32)[..., ends]
    if forecaster.blend:
        held["blend"] = forecaster.blend
    shapes, columns, freq = (
        Shapes(*metadata["shapes"]),
        tuple(metadata["columns"]),
        metadata["freq"],
    )
    covariates = tuple(dict.fromkeys(metadata["covariates"]))
    known = tuple(metadata.get("known", ()))  # older runs have none

    def rows(count: int, names: tuple[str, ...], about: str) -> Field:
        return Field((count, len(names)), names=names, about=about)

    def times(count: int, about: str) -> Field:
        names = ("days since 1970-01-01", "seconds of the day")
        return Field((count, 2), "int32", names=names, about=f"{about}: {' and '.join(names)}")

    unit = "" if metadata["unit"] == "none" else f", its {metadata['unit']}"
    inputs = {"past": rows(shapes.window, columns, f"the series, a row each {freq}{unit}")}
    if covariates:
        inputs["covariates"] = rows(shapes.window, covariates, "the covariates in those rows")
    if known:
        about = "the known covariates in the rows to forecast"
        inputs["future_covariates"] = rows(shapes.horizon, known, about)
    if shapes.future_known > len(known):
        inputs["past_time"] = times(shapes.window, "time of those rows")
        inputs["future_time"] = times(shapes.horizon, "time of the rows to forecast")
    outputs = {"value": rows(shapes.horizon, columns, f"forecast of the next rows{unit}")}
    if forecaster.likelihood.levels or "offsets" in held:
        for name in ("low", "high"):
            about = f"{name} end of its interval, nominal level {level:g}"
            outputs[name] = rows(shapes.horizon, columns, about)
    details = {
        "step": metadata["step"],
        "seeds": len(jax.tree.leaves(held["states"])[0]),
        "freq": freq,
    }
    return Serving(
        predict_function(forecaster, freq, shapes.horizon, level), held, inputs, outputs, details
    )


def predict_function(
    forecaster: Forecaster, freq: str, horizon: int, level: float
) -> Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]:
    """The pure function of `serving`: (arrays, inputs of `after_the_end`) -> [B, H, C] each.

    The value is the mean over the seeds and always between low and high.
    """
    levels = forecaster.likelihood.levels

    def function(held: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        scaler, combined = held["scaler"], forecaster._replace(blend=held.get("blend"))
        batch = scaled(inputs, freq, horizon, scaler, held["covariate_scaler"])
        value, quantiles = mean_forecast(combined, held["states"], batch)
        outputs, ends = [value], ()
        if levels:
            ends = (quantiles[..., i] for i in interval_ends(levels, level))
        elif "offsets" in held:
            ends = (value + held["offsets"][..., i] for i in (0, 1))
        if ends:
            (low, high), radius = ends, held.get("radius", 0.0)
            outputs += [jnp.minimum(low - radius, value), jnp.maximum(high + radius, value)]
        stacked = jnp.stack(outputs) * scaler.std + scaler.mean  # at once, which keeps their order
        return dict(zip(("value", "low", "high"), stacked, strict=False))

    return function


def predict(model: Serving, series: Series) -> Prediction:
    """The forecast after the end of a series.

    Raises ValueError for a series with another step, other columns, or shorter than the window.
    """
    columns, freq = model.inputs["past"].names, model.metadata["freq"]
    if series.freq != freq or series.columns != columns:
        raise ValueError(
            f"{series.name} has {', '.join(series.columns)} every {series.freq}; "
            f"the run forecasts {', '.join(columns)} every {freq}"
        )
    window, horizon = model.inputs["past"].shape[0], model.outputs["value"].shape[0]
    inputs, time = after_the_end(series, window, horizon, dated="past_time" in model.inputs)
    found = {name: x[0] for name, x in answers(model, inputs).items()}
    return Prediction(time, found["value"], found.get("low"), found.get("high"))


def rows(series: Series, predicted: Prediction) -> list[dict[str, Any]]:
    """A dict a step: time, and for each column its forecast and the ends of the interval."""
    out = []
    for h, time in enumerate(predicted.time):
        row: dict[str, Any] = {"time": _stamp(time)}
        for c, name in enumerate(series.columns):
            row[name] = float(predicted.value[h, c])
            if predicted.low is not None:
                row |= {f"{name}_low": float(predicted.low[h, c])}
                row |= {f"{name}_high": float(predicted.high[h, c])}
        out.append(row)
    return out


def write(path: Path, series: Series, forecast: list[dict[str, Any]]) -> None:
    """A CSV of the series followed by the forecast's `rows`, with a column `kind`."""
    columns = ["time", "kind", *list(forecast[0])[1:]]
    blank = dict.fromkeys(columns, "")
    observed = [
        blank
        | {"time": _stamp(time), "kind": "observed"}
        | dict(zip(series.columns, values.tolist(), strict=True))
        for time, values in zip(series.time, series.values, strict=True)
    ]
    write_csv(path, observed + [blank | row | {"kind": "forecast"} for row in forecast])


def draw(path: Path, series: Series, predicted: Prediction, level: float) -> None:
    """The end of each series (of the first few) and its forecast."""
    past = slice(-4 * len(predicted.time), None)
    panels = [
        plots.ForecastPanel(
            name,
            series.time[past],
            series.values[past, c],
            predicted.time,
            predicted.value[:, c],
            bands=[] if predicted.low is None else [(predicted.low[:, c], predicted.high[:, c])],
        )
        for c, name in enumerate(series.columns[:SHOWN])
    ]
    title = f"After the end of {Path(series.name).name}, {level:.0%} interval"
    plots.forecasts(panels, title, path)


def _stamp(time: np.datetime64) -> str:
    text = str(time.astype("datetime64[s]"))
    return text.removesuffix("T00:00:00").replace("T", " ")
