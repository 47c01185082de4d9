"""What a forecasting run has to tell at its end: a table, findings, words and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dljax.data.calendar import calendar
from dljax.data.sources.series import Series
from dljax.data.windows import Windows
from dljax.rnn import assessment, baselines, pictures, verdict, walking
from dljax.rnn.assessment import Answers
from dljax.rnn.baselines import Fit
from dljax.rnn.walking import Walk


class Asked(NamedTuple):
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


def table(asked: Asked, reference: Mapping[str, Answers]) -> dict[str, dict[str, float]]:
    """The measures of every baseline on the test part."""
    return {
        name: assessment.measures(a, asked.data, asked.series.season, asked.levels, asked.level)
        for name, a in reference.items()
    }


def naive_fits(asked: Asked) -> dict[str, Fit]:
    """The baselines that learn next to nothing; the seasonal one if the past holds a season."""
    series, data = asked.series, asked.data
    season = series.season if series.season <= data.origins["validation"][0] else 1
    return baselines.naive(season, data.horizon, calendar(series.time, series.freq)[1])


def baseline_fits(asked: Asked) -> dict[str, Fit]:
    """All baselines, the linear ones too."""
    return naive_fits(asked) | baselines.learned(asked.data.window, asked.data.horizon)


def conclude(
    asked: Asked, answers: Answers, reference: Mapping[str, Answers], walk: Walk | None = None
) -> Report:
    """Everything about the network's answers beside the baselines'.

    walk: the backtest with refits; None: the run's own network and baselines walk.
    """
    series, data = asked.series, asked.data
    intervals = assessment.intervals(answers, data, asked.levels, asked.level)
    said = verdict.verdict(
        answers,
        reference,
        data,
        naive_fits(asked).keys(),
        series.season,
        series.columns,
        asked.levels,
        asked.level,
        intervals,
        asked.calibrate,
        asked.measure,
    )
    findings, lines = dict(said.findings), said.lines
    if asked.direction:
        said = verdict.direction(answers, data, returns=asked.direction == "returns")
        findings, lines = findings | said.findings, lines + said.lines
    walk = walk or walking.as_it_is(data, {"network": answers, **reference})
    findings["backtest"] = walking.errors(walk, data)
    chosen = intervals[asked.calibrate]
    facts = {
        "levels": asked.levels,
        "radius": chosen.radius.tolist(),
        "offsets": None if answers.offsets is None else answers.offsets.tolist(),
    }
    scored = findings["backtest"]["errors"]
    best = min(reference, key=lambda name: scored[name][asked.measure])
    draw = partial(
        pictures.draw,
        series=series,
        data=data,
        answers=answers,
        reference=reference,
        levels=asked.levels,
        interval=chosen,
        best=best,
        walk=walk,
    )
    return Report(findings, lines, facts, draw)
