"""What a test bears out, in numbers and in words: the network against the baselines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dljax.data.windows import Windows
from dljax.rnn.forecasting import assessment, forecast_metrics
from dljax.rnn.forecasting.assessment import Answers, Interval

TOLERANCE = 0.03  # of coverage, before it has to be explained


class Verdict(NamedTuple):
    """findings: for summary.json. lines: for the reader."""

    findings: dict[str, Any]
    lines: tuple[str, ...]


def verdict(
    answers: Answers,
    reference: Mapping[str, Answers],
    data: Windows,
    naive: Collection[str],
    season: int,
    columns: Sequence[str],
    levels: Sequence[float],
    level: float,
    intervals: Mapping[str, Interval],
    chosen: str,
    measure: str = "mae",
) -> Verdict:
    """Skill against each baseline, errors in the series' own unit, and the intervals' coverage.

    answers: the network's (the mean over its seeds). naive: which of `reference` learn nothing.
    measure: 'mae' or 'mse', by which the best
    baseline is found. chosen: the calibration whose intervals are used.
    """
    truth = data.truth("test")
    error = answers.test.values - truth
    own = assessment.measures(answers, data, season, levels, level)
    table = {
        name: assessment.measures(a, data, season, levels, level) for name, a in reference.items()
    }
    skill = {name: _skill(answers, a, truth, data.horizon) for name, a in reference.items()}
    findings = {
        "mean_forecast_of_seeds": own,
        "skill": {
            name: {kind: estimate._asdict() for kind, estimate in kinds.items()}
            for name, kinds in skill.items()
        },
        "mae_in_own_unit": dict(
            zip(columns, np.abs(error).mean((0, 1)) * data.scaler.std, strict=True)
        ),
        "intervals": {"nominal": level, "chosen": chosen}
        | {name: forecast_metrics.covered(i.low, i.high, truth) for name, i in intervals.items()},
    }
    lines = [
        *_against(own, table, skill, naive, measure),
        _covered(answers, data, intervals, chosen, level),
    ]
    return Verdict(findings, tuple(lines))


def direction(answers: Answers, data: Windows, returns: bool = False) -> Verdict:
    """How often the next step's direction was right, against a coin and against 'always up'.

    returns: the series are changes already, and up is above zero.
    """
    predicted, change = answers.test.values[:, 0], data.truth("test")[:, 0]
    if returns:
        predicted, change = data.scaler.undo(predicted), data.scaler.undo(change)
    else:
        last = data.values[data.origins["test"] - 1]
        predicted, change = predicted - last, change - last
    if not change.any():
        return Verdict({}, ("No value of the test part changed: there is no direction to tell.",))
    found = forecast_metrics.direction(predicted, change, block=data.horizon)
    share, up = found.accuracy, found.up
    always = max(up.value, 1 - up.value)
    says = "no better than a coin, as far as this test can tell"
    if share.low > max(always, 0.5):
        says = f"better than always the commoner direction ({always:.1%})"
    elif share.low > 0.5:
        says = f"better than a coin, but not than always the commoner direction ({always:.1%})"
    elif share.high < 0.5:
        says = "worse than a coin"
    line = (
        f"Direction of the next step: {share.value:.1%} right (95 %: {share.low:.1%} to "
        f"{share.high:.1%}) of {found.changes} changes: {says}."
    )
    findings = {"accuracy": share._asdict(), "up": up._asdict(), "changes": found.changes}
    return Verdict({"direction": findings}, (line,))


def _skill(
    answers: Answers, other: Answers, truth: np.ndarray, horizon: int
) -> dict[str, forecast_metrics.Estimate]:
    def losses(a: Answers, power: int) -> np.ndarray:
        return (np.abs(a.test.values - truth) ** power).mean((1, 2))

    kinds = {"mae": 1, "mse": 2}
    return {
        k: forecast_metrics.skill(losses(answers, p), losses(other, p), horizon)
        for k, p in kinds.items()
    }


def _against(
    own: Mapping[str, float],
    table: Mapping[str, Mapping[str, float]],
    skill: Mapping[str, Mapping[str, forecast_metrics.Estimate]],
    naive: Collection[str],
    measure: str,
) -> list[str]:
    """A line about the best naive baseline and one about the best of all."""
    simple = min(naive, key=lambda n: table[n][measure])
    best = min(table, key=lambda n: table[n][measure])
    lines = []
    for kind, name in {"naive baseline": simple, "baseline": best}.items():
        gain = skill[name][measure]
        span = f"95 %: {gain.low:.1%} to {gain.high:.1%}"
        error = f"{measure} {table[name][measure]:.4g} against {own[measure]:.4g}"
        if gain.low > 0:
            says = f"the network errs {gain.value:.1%} less ({span})"
        elif gain.high < 0:
            says = f"IT BEATS the network, which errs {-gain.value:.1%} more (skill {span}): use it"
        else:
            ahead = "ahead of it" if gain.value > 0 else "behind it"
            says = (
                f"the network is {abs(gain.value):.1%} {ahead}, "
                f"which this test can't tell from no difference (skill {span})"
            )
        lines.append(f"Best {kind}: {name}, {error}: {says}.")
    return lines if simple != best else lines[:1]


def _covered(
    answers: Answers, data: Windows, intervals: Mapping[str, Interval], chosen: str, level: float
) -> str:
    truth = {part: data.truth(part) for part in ("validation", "test")}
    shares = {
        name: forecast_metrics.covered(i.low, i.high, truth["test"])["coverage"]
        for name, i in intervals.items()
    }
    others = ", ".join(f"{name} {share:.1%}" for name, share in shares.items() if name != chosen)
    line = (
        f"The {level:.0%} interval (calibration: {chosen}) covers {shares[chosen]:.1%} of the test "
        f"values ({others})"
    )
    if abs(shares[chosen] - level) <= TOLERANCE:
        return line + "."
    before, after = (np.abs(getattr(answers, p).values - truth[p]).mean() for p in truth)
    return line + (
        f": more than {TOLERANCE:.0%} off; errors on the test part are {after / before:.2f} times "
        "those on the validation part that it learned from."
    )
