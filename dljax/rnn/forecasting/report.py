"""The analysis of a trained forecaster: baselines, findings, text and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dljax.data.calendar import calendar
from dljax.data.sources.series import Series
from dljax.data.windows import Windows
from dljax.rnn.forecasting import assessment, backtest, baselines, comparison, forecast_plots
from dljax.rnn.forecasting.assessment import Forecasts
from dljax.rnn.forecasting.backtest import Walk
from dljax.rnn.forecasting.baselines import Fit


class ReportInputs(NamedTuple):
    """The series and its windows, the levels of the quantiles, the nominal level of the interval.

    calibrate: of the interval that is used. measure: the error by which forecasters are compared.
    direction: 'changes' or 'returns' where the direction of the next step is evaluated; '': not.
    """

    series: Series
    data: Windows
    levels: tuple[float, ...]
    level: float
    calibrate: str
    measure: str
    direction: str = ""


def table(inputs: ReportInputs, forecasts: Mapping[str, Forecasts]) -> dict[str, dict[str, float]]:
    """The metrics of every baseline on the test part."""
    return {
        name: assessment.measures(f, inputs.data, inputs.series.season, inputs.levels, inputs.level)
        for name, f in forecasts.items()
    }


def naive_fits(inputs: ReportInputs) -> dict[str, Fit]:
    """The naive baselines; the seasonal one if the training part holds a season."""
    series, data = inputs.series, inputs.data
    season = series.season if series.season <= data.origins["validation"][0] else 1
    return baselines.naive(season, data.horizon, calendar(series.time, series.freq)[1])


def baseline_fits(inputs: ReportInputs) -> dict[str, Fit]:
    """All baselines, including the linear ones."""
    return naive_fits(inputs) | baselines.learned(inputs.data.window, inputs.data.horizon)


def analyze(
    inputs: ReportInputs,
    network: Forecasts,
    reference: Mapping[str, Forecasts],
    walk: Walk | None = None,
) -> tuple[dict[str, Any], tuple[str, ...], dict[str, Any], Callable[[Path], None]]:
    """Findings, lines for the reader, metadata for later forecasts, and draw: folder -> None.

    network, reference: the forecasts of the network and of the baselines. walk: the backtest with
    refits; None: that of the given forecasts.
    """
    series, data = inputs.series, inputs.data
    intervals = assessment.intervals(network, data, inputs.levels, inputs.level)
    compared = comparison.compare(
        network,
        reference,
        data,
        naive_fits(inputs).keys(),
        series.season,
        series.columns,
        inputs.levels,
        inputs.level,
        intervals,
        inputs.calibrate,
        inputs.measure,
    )
    findings, lines = dict(compared.findings), compared.lines
    if inputs.direction:
        compared = comparison.direction(network, data, returns=inputs.direction == "returns")
        findings, lines = findings | compared.findings, lines + compared.lines
    walk = walk or backtest.without_refits(data, {"network": network, **reference})
    findings["backtest"] = backtest.errors(walk, data)
    chosen = intervals[inputs.calibrate]
    metadata = {
        "levels": inputs.levels,
        "radius": chosen.radius.tolist(),
        "offsets": None if network.offsets is None else network.offsets.tolist(),
    }
    scored = findings["backtest"]["errors"]
    best = min(reference, key=lambda name: scored[name][inputs.measure])
    draw = partial(
        forecast_plots.draw,
        series=series,
        data=data,
        network=network,
        reference=reference,
        levels=inputs.levels,
        interval=chosen,
        best=best,
        walk=walk,
    )
    return findings, lines, metadata, draw
