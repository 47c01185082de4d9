"""What a forecasting run has to tell at its end: a table, findings, words and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dljax.data.calendar import calendar
from dljax.data.sources.series import Series
from dljax.data.windows import Windows
from dljax.rnn.forecasting import assessment, backtest, baselines, comparison, forecast_plots
from dljax.rnn.forecasting.assessment import Answers
from dljax.rnn.forecasting.backtest import Walk
from dljax.rnn.forecasting.baselines import Fit


class ReportInputs(NamedTuple):
    """What is reported on: the series and its windows, the quantiles' levels, the interval's level.

    calibrate: which interval is used. measure: by which error forecasters are compared. direction:
    'changes' or 'returns' where one would trade on the direction of the next step; '': not told.
    """

    series: Series
    data: Windows
    levels: tuple[float, ...]
    level: float
    calibrate: str
    measure: str
    direction: str = ""


class Report(NamedTuple):
    """findings, lines, facts for later forecasts, and draw: folder -> None."""

    findings: dict[str, Any]
    lines: tuple[str, ...]
    facts: dict[str, Any]
    draw: Callable[[Path], None]


def table(inputs: ReportInputs, reference: Mapping[str, Answers]) -> dict[str, dict[str, float]]:
    """The measures of every baseline on the test part."""
    return {
        name: assessment.measures(a, inputs.data, inputs.series.season, inputs.levels, inputs.level)
        for name, a in reference.items()
    }


def naive_fits(inputs: ReportInputs) -> dict[str, Fit]:
    """The baselines that learn next to nothing; the seasonal one if the past holds a season."""
    series, data = inputs.series, inputs.data
    season = series.season if series.season <= data.origins["validation"][0] else 1
    return baselines.naive(season, data.horizon, calendar(series.time, series.freq)[1])


def baseline_fits(inputs: ReportInputs) -> dict[str, Fit]:
    """All baselines, the linear ones too."""
    return naive_fits(inputs) | baselines.learned(inputs.data.window, inputs.data.horizon)


def conclude(
    inputs: ReportInputs,
    answers: Answers,
    reference: Mapping[str, Answers],
    walk: Walk | None = None,
) -> Report:
    """Everything about the network's answers beside the baselines'.

    walk: the backtest with refits; None: the run's own network and baselines walk.
    """
    series, data = inputs.series, inputs.data
    intervals = assessment.intervals(answers, data, inputs.levels, inputs.level)
    said = comparison.verdict(
        answers,
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
    findings, lines = dict(said.findings), said.lines
    if inputs.direction:
        said = comparison.direction(answers, data, returns=inputs.direction == "returns")
        findings, lines = findings | said.findings, lines + said.lines
    walk = walk or backtest.as_it_is(data, {"network": answers, **reference})
    findings["backtest"] = backtest.errors(walk, data)
    chosen = intervals[inputs.calibrate]
    facts = {
        "levels": inputs.levels,
        "radius": chosen.radius.tolist(),
        "offsets": None if answers.offsets is None else answers.offsets.tolist(),
    }
    scored = findings["backtest"]["errors"]
    best = min(reference, key=lambda name: scored[name][inputs.measure])
    draw = partial(
        forecast_plots.draw,
        series=series,
        data=data,
        answers=answers,
        reference=reference,
        levels=inputs.levels,
        interval=chosen,
        best=best,
        walk=walk,
    )
    return Report(findings, lines, facts, draw)
