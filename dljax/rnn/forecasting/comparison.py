"""Comparison of a network with baselines on the test part, as findings and as text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dljax.data.windows import Windows
from dljax.rnn.forecasting import assessment, forecast_metrics
from dljax.rnn.forecasting.assessment import Forecasts, Interval
from dljax.train import bootstrap

SHOWN = 4  # columns in a line, at most
TOLERANCE = 0.03  # deviation of the coverage from the nominal level without a comment


class Comparison(NamedTuple):
    """findings: for summary.json. lines: for the reader."""

    findings: dict[str, Any]
    lines: tuple[str, ...]


def compare(
    network: Forecasts,
    baselines: Mapping[str, Forecasts],
    data: Windows,
    naive: Collection[str],
    season: int,
    columns: Sequence[str],
    levels: Sequence[float],
    level: float,
    intervals: Mapping[str, Interval],
    calibrate: str,
    measure: str = "mae",
    alone: Forecasts | None = None,
) -> Comparison:
    """Skill against each baseline, errors in the series' own unit, and coverage of the intervals.

    network: its forecasts (the mean over seeds). naive: names of the naive ones among `baselines`.
    measure: 'mae' or 'mse', whose verdict comes first. calibrate: of the intervals that
    are used. alone: the forecasts of the network where those of `network` are its combination with
    simple ones.
    """
    truth = data.truth("test")
    error = network.test.values - truth
    own = assessment.measures(network, data, season, levels, level)
    table = {
        name: assessment.measures(a, data, season, levels, level) for name, a in baselines.items()
    }
    skill = {name: _skill(network, a, truth, data.horizon) for name, a in baselines.items()}
    findings = {
        "mean_forecast_of_seeds": own,
        "skill": {
            name: {kind: estimate._asdict() for kind, estimate in kinds.items()}
            for name, kinds in skill.items()
        },
        "mae_in_own_unit": _in_own_unit(error, data, columns),
        "intervals": {"nominal": level, "chosen": calibrate}
        | {name: forecast_metrics.covered(i.low, i.high, truth) for name, i in intervals.items()},
    }
    compared = _compared(network, alone is not None)
    if alone is not None:
        gains = _skill(network, alone, truth, data.horizon)
        findings["network_alone"] = assessment.measures(alone, data, season, levels, level) | {
            "skill_of_the_combination": {kind: gain._asdict() for kind, gain in gains.items()}
        }
    lines = [
        *_scores(compared, own, data, findings["mae_in_own_unit"]),
        *_against(compared, own, table, skill, naive, measure),
        *([] if alone is None else [_gain(own, findings["network_alone"])]),
        _covered(network, data, intervals, calibrate, level),
    ]
    return Comparison(findings, tuple(lines))


def direction(network: Forecasts, data: Windows, returns: bool = False) -> Comparison:
    """Accuracy of the next step's direction, against chance and the majority direction.

    returns: the series are changes already, and up is above zero.
    """
    predicted, change = network.test.values[:, 0], data.truth("test")[:, 0]
    if returns:
        predicted, change = (_undone(x, data) for x in (predicted, change))
    else:
        last = data.values[data.origins["test"] - 1]
        predicted, change = predicted - last, change - last
    if not predicted.any():
        return Comparison({}, ("The forecast is no change: it has no direction.",))
    if not change.any():
        return Comparison(
            {}, ("No value of the test part changed: there is no direction to forecast.",)
        )
    found = forecast_metrics.direction(predicted, change, block=data.horizon)
    share, up = found.accuracy, found.up
    always = max(up.value, 1 - up.value)
    verdict = "not significantly better than chance"
    if share.low > max(always, 0.5):
        verdict = f"better than always predicting the majority direction ({always:.1%})"
    elif share.low > 0.5:
        verdict = f"better than chance, but not than the majority direction ({always:.1%})"
    elif share.high < 0.5:
        verdict = "worse than chance"
    line = (
        f"Direction of the next step: {share.value:.1%} correct (95 % interval {share.low:.1%} to "
        f"{share.high:.1%}) of {found.changes} changes: {verdict}."
    )
    findings = {"accuracy": share._asdict(), "up": up._asdict(), "changes": found.changes}
    return Comparison({"direction": findings}, (line,))


def _undone(values: np.ndarray, data: Windows) -> np.ndarray:
    """Values of the test windows in the unit of their series."""
    return np.concatenate([part.scaler.undo(values[at["test"]]) for part, at in data.each()])


def _skill(
    network: Forecasts, other: Forecasts, truth: np.ndarray, horizon: int
) -> dict[str, bootstrap.Estimate]:
    def losses(a: Forecasts, power: int) -> np.ndarray:
        return (np.abs(a.test.values - truth) ** power).mean((1, 2))

    kinds = {"mae": 1, "mse": 2}
    return {
        k: bootstrap.skill(losses(network, p), losses(other, p), horizon) for k, p in kinds.items()
    }


def _in_own_unit(
    error: np.ndarray, data: Windows, columns: Sequence[str]
) -> dict[str, float | dict[str, float]]:
    """Column -> mean absolute error; of several series, that of each by its label."""
    each = [
        dict(zip(columns, np.abs(error[where["test"]]).mean((0, 1)) * part.scaler.std, strict=True))
        for part, where in data.each()
    ]
    return dict(zip(data.labels, each, strict=True)) if data.parts else each[0]


def by_series(
    networks: Mapping[str, Forecasts], baselines: Mapping[str, Forecasts], data: Windows
) -> dict[str, dict[str, dict[str, float]]]:
    """Label -> forecaster -> mae and mse on the test windows of that series, scaled by its own.

    networks: the network's forecasts, and those of its combination, by name.
    """
    found = {}
    for label, (part, where) in zip(data.labels, data.each(), strict=False):
        truth = part.truth("test")
        found[label] = {}
        for name, forecasts in {**networks, **baselines}.items():
            error = forecasts.test.values[where["test"]] - truth
            scores = {"mae": np.abs(error).mean(), "mse": np.square(error).mean()}
            found[label][name] = {kind: float(x) for kind, x in scores.items()}
    return found


class _Compared(NamedTuple):
    """Whose errors are compared: its name, the word for it in a verdict, the seeds of its mean."""

    name: str
    subject: str
    seeds: int


def _compared(network: Forecasts, combined: bool) -> _Compared:
    seeds = 1 if network.seeds is None else network.seeds.shape[1]
    alone = "network" if seeds == 1 else "mean forecast"
    name, subject = ("combined forecast", "combination") if combined else (alone, "network")
    return _Compared(name if seeds == 1 else f"{name} of {seeds} seeds", subject, seeds)


def _gain(own: Mapping[str, float], alone: Mapping[str, Any]) -> str:
    """The network alone beside the combination, by both errors."""
    shown = []
    for kind in ("mae", "mse"):
        gain = bootstrap.Estimate(**alone["skill_of_the_combination"][kind])
        shown.append(
            f"{kind} {alone[kind]:.4g}, the combination's {own[kind]:.4g} (skill {gain.value:.1%}, "
            f"95 % interval {gain.low:.1%} to {gain.high:.1%})"
        )
    return f"The network alone: {'; '.join(shown)}."


def _scores(
    compared: _Compared, own: Mapping[str, float], data: Windows, unit: Mapping[str, Any]
) -> list[str]:
    """The unit of all errors, and those of the compared forecasts."""
    unscaled = ""
    if not data.parts:
        shown = [f"{column} {error:.4g}" for column, error in list(unit.items())[:SHOWN]]
        more = f" and {len(unit) - SHOWN} more" if len(unit) > SHOWN else ""
        unscaled = f"; mae in its own unit: {', '.join(shown)}{more}"
    several = "; the test line is the mean over seeds, each scored alone"
    of = "each series' training part" if data.parts else "the training part"
    scores = ", ".join(f"{kind} {own[kind]:.4g}" for kind in ("mae", "mse", "quantile_loss"))
    scale = f", mase {own['mase']:.4g}" if np.isfinite(own["mase"]) else ""
    return [
        f"Errors are in standard deviations of {of}; mase is relative to repeating the last season "
        "there.",
        f"{compared.name.capitalize()} on the test part: {scores}{scale}{unscaled}"
        f"{several if compared.seeds > 1 else ''}.",
    ]


def _against(
    compared: _Compared,
    own: Mapping[str, float],
    table: Mapping[str, Mapping[str, float]],
    skill: Mapping[str, Mapping[str, bootstrap.Estimate]],
    naive: Collection[str],
    measure: str,
) -> list[str]:
    """Lines about the best naive baseline by `measure`, and the best of all by both measures."""
    lines, better, subject = [], {}, compared.subject
    for by in sorted(("mae", "mse"), key=lambda by: by != measure):
        best, simple = (min(names, key=lambda n: table[n][by]) for names in (table, naive))
        kinds = {"naive baseline": simple} if by == measure and simple != best else {}
        for kind, name in {**kinds, "baseline": best}.items():
            error = f"{by} {table[name][by]:.4g}, {compared.name} {own[by]:.4g}"
            verdict = _verdict(skill[name][by], subject)
            lines.append(f"Best {kind} by {by}: {name}, {error}: {verdict}.")
        gain = skill[best][by]
        better[by] = 1 if gain.low > 0 else -1 if gain.high < 0 else 0
    if {1, -1} == set(better.values()):
        good, bad = (next(by for by in better if better[by] == sign) for sign in (1, -1))
        lines.append(
            f"The verdict depends on the measure: by {good} the {subject} is better than every "
            f"baseline, by {bad} it is not."
        )
    return lines


def _verdict(gain: bootstrap.Estimate, subject: str) -> str:
    """The skill of the network, or of its combination, in words."""
    span = f"95 % interval {gain.low:.1%} to {gain.high:.1%}"
    if gain.low > 0:
        return f"the {subject}'s error is {gain.value:.1%} lower ({span})"
    if gain.high < 0:
        return (
            f"the baseline is better, the {subject}'s error is {-gain.value:.1%} higher "
            f"(skill: {span})"
        )
    word = "lower" if gain.value > 0 else "higher"
    return (
        f"the {subject}'s error is {abs(gain.value):.1%} {word}, "
        f"not a significant difference (skill: {span})"
    )


def _covered(
    network: Forecasts,
    data: Windows,
    intervals: Mapping[str, Interval],
    calibrate: str,
    level: float,
) -> str:
    truth = {part: data.truth(part) for part in ("validation", "test")}
    shares = {
        name: forecast_metrics.covered(i.low, i.high, truth["test"])["coverage"]
        for name, i in intervals.items()
    }
    named = {"none": "as forecast", "conformal": "conformal", "adaptive": "adaptive"}
    others = ", ".join(
        f"{named[name]} {share:.1%}" for name, share in shares.items() if name != calibrate
    )
    line = (
        f"The {level:.0%} interval ({named[calibrate]}) covers {shares[calibrate]:.1%} of "
        f"the test values ({others})"
    )
    if abs(shares[calibrate] - level) <= TOLERANCE:
        return line + "."
    before, after = (np.abs(getattr(network, p).values - truth[p]).mean() for p in truth)
    if not before:
        return line + f": more than {TOLERANCE:.0%} off; the validation part has no errors."
    return line + (
        f": more than {TOLERANCE:.0%} off; errors on the test part are {after / before:.2f} times "
        "those on the validation part, on which it was calibrated."
    )
