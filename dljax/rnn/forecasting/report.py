"""The analysis of a trained forecaster: baselines, findings, text and pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.data.calendar import calendar
from dljax.data.sources.series import Series
from dljax.data.windows import Windows
from dljax.rnn.forecasting import assessment, backtest, baselines, comparison, forecast_plots
from dljax.rnn.forecasting.assessment import Forecasts, Interval
from dljax.rnn.forecasting.backtest import Walk
from dljax.rnn.forecasting.baselines import Fit

SHOWN, DRAWN = 10, 4  # series in lines and in pictures, at most


class ReportInputs(NamedTuple):
    """The series and its windows, the levels of the quantiles, the nominal level of the interval.

    calibrate: of the interval that is used. measure: the error by which forecasters are compared.
    direction: 'changes' or 'returns' where the direction of the next step is evaluated; '': not.
    panel: of several series all of them, of which `series` is the first.
    """

    series: Series
    data: Windows
    levels: tuple[float, ...]
    level: float
    calibrate: str
    measure: str
    direction: str = ""
    panel: tuple[Series, ...] = ()

    def each(self) -> list[ReportInputs]:
        """The inputs of each series alone."""
        if not self.panel:
            return [self]
        pairs = zip(self.panel, self.data.parts, strict=True)
        return [self._replace(series=series, data=part, panel=()) for series, part in pairs]


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
    """All baselines, including the linear ones; of these, two use what is known of the future."""
    series, data = inputs.series, inputs.data
    fits = naive_fits(inputs) | baselines.learned(data.window, data.horizon)
    if series.known:
        known = series.covariates[:, -series.known :]
        known = np.concatenate([calendar(series.time, series.freq)[1], known], -1)
        fits["known covariates"] = baselines.climatology(known, data.horizon)
        rest = baselines.ridge(data.window, data.horizon)
        fits["ridge with known"] = baselines.beside(known, rest, data.horizon)
    return fits


def references(inputs: ReportInputs) -> dict[str, Forecasts]:
    """The Forecasts of all baselines; of several series, each fitted to its own."""
    each = [
        assessment.of_baselines(one.data, baseline_fits(one), inputs.levels)
        for one in inputs.each()
    ]
    names = [name for name in each[0] if all(name in found for found in each)]
    return {name: assessment.joined([found[name] for found in each]) for name in names}


def analyze(
    inputs: ReportInputs,
    network: Forecasts,
    reference: Mapping[str, Forecasts],
    walk: Walk | None = None,
    alone: Forecasts | None = None,
) -> tuple[dict[str, Any], tuple[str, ...], dict[str, Any], Callable[[Path], None], dict]:
    """Findings, lines, metadata for later forecasts, draw: folder -> None, and metrics of seeds.

    network, reference: the forecasts of the network and of the baselines. walk: the backtest with
    refits; None: that of the given forecasts. alone: those of the network where `network` are those
    of its combination.
    """
    series, data = inputs.series, inputs.data
    networks = {"network": network} if alone is None else {"combined": network, "network": alone}
    intervals = assessment.intervals(network, data, inputs.levels, inputs.level)
    compared = comparison.compare(
        network,
        reference,
        data,
        [name for name in naive_fits(inputs.each()[0]) if name in reference],
        series.season,
        series.columns,
        inputs.levels,
        inputs.level,
        intervals,
        inputs.calibrate,
        inputs.measure,
        alone,
    )
    findings, lines = dict(compared.findings), compared.lines
    if inputs.direction:
        compared = comparison.direction(network, data, returns=inputs.direction == "returns")
        findings, lines = findings | compared.findings, lines + compared.lines
    walk = walk or backtest.without_refits(data, {**networks, **reference})
    findings["backtest"] = backtest.errors(walk, data)
    if inputs.panel:
        findings["by_series"] = comparison.by_series(networks, reference, data)
        lines += _lines_by_series(findings["by_series"], tuple(networks), inputs.measure)
    chosen = intervals[inputs.calibrate]
    metadata = {
        "levels": inputs.levels,
        "radius": chosen.radius.tolist(),
        "offsets": _offsets(network),
    }
    scored = findings["backtest"]["errors"]
    best = min(reference, key=lambda name: scored[name][inputs.measure])
    draw = partial(
        _draw,
        inputs=inputs,
        networks=networks,
        reference=reference,
        interval=chosen,
        best=best,
        walk=walk,
    )
    metrics = {}
    if network.seeds is not None:
        metrics["mase"] = assessment.mase_of_seeds(network, data, series.season)
    return findings, lines, metadata, draw, metrics


def _offsets(network: Forecasts) -> Any:
    """The offsets of point forecasts as lists, one of each series where there are several."""
    if network.parts:
        each = [_offsets(part) for part in network.parts]
        return None if each[0] is None else each
    return None if network.offsets is None else network.offsets.tolist()


def _lines_by_series(
    found: Mapping[str, Mapping[str, Any]], names: tuple[str, ...], measure: str
) -> tuple[str, ...]:
    """A line for each of the first series: the error of the first of names, the best baseline's."""
    lines = []
    for label, scores in list(found.items())[:SHOWN]:
        best = min((n for n in scores if n not in names), key=lambda n: scores[n][measure])
        lines.append(
            f"Series {label}: {names[0]} {measure} {scores[names[0]][measure]:.4g}; best baseline "
            f"{best} {scores[best][measure]:.4g}."
        )
    if len(found) > SHOWN:
        lines.append(f"{len(found) - SHOWN} more series are in summary.json, by_series.")
    return tuple(lines)


def _draw(
    folder: Path,
    inputs: ReportInputs,
    networks: Mapping[str, Forecasts],
    reference: Mapping[str, Forecasts],
    interval: Interval,
    best: str,
    walk: Walk,
) -> None:
    """The pictures of a run; of several series, those of the first ones in a folder each."""
    if not inputs.panel:
        forecast_plots.draw(
            folder,
            inputs.series,
            inputs.data,
            networks,
            reference,
            inputs.levels,
            interval,
            best,
            walk,
        )
        return
    spans = [where["test"] for _, where in inputs.data.each()]
    for i, one in enumerate(inputs.each()[:DRAWN]):
        own, parts = (
            {name: f.parts[i] for name, f in each.items()} for each in (networks, reference)
        )
        name = re.sub(r"[^\w.-]+", "_", inputs.data.labels[i])
        place = folder / f"{i:02d}_{name}"
        forecast_plots.draw(
            place,
            one.series,
            one.data,
            own,
            parts,
            inputs.levels,
            Interval(interval.low[spans[i]], interval.high[spans[i]], interval.radius[i]),
            best,
            backtest.without_refits(one.data, {**own, **parts}),
        )
