"""What a trained classifier of medical images reaches, from its logits on two parts of the data.

On validation the temperature and the thresholds are fitted; on the test part they are scored, each
network alone (a metric a seed) and the mean of their probabilities, which is what predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dljax.cnn.medical import operating_point, scores
from dljax.cnn.medical.calibration import calibration_counts, fit_temperature, scaled
from dljax.train.metrics import expected_calibration_error

HALF = 0.5


class Rule(NamedTuple):
    """How probabilities become decisions.

    temperatures: of each seed. thresholds: class -> least probability of the mean of the seeds at
    which it is called; of the classes that are decided on.
    """

    temperatures: tuple[float, ...]
    thresholds: dict[str, float]


class Goal(NamedTuple):
    """What is to be decided: classes, whether an image has several, and which are detected.

    detected: names of the classes whose sensitivity counts. sensitivity: that the threshold keeps;
    0: Youden's. graded: the classes are ordered.
    """

    classes: tuple[str, ...]
    multi_label: bool
    detected: tuple[str, ...]
    sensitivity: float = 0.0
    graded: bool = False


class Review(NamedTuple):
    """metrics: name -> [seeds]. findings: of the mean of the seeds, for summary.json.

    p: its probabilities [N, C]. calibration: sums and counts of the bins, for a diagram.
    """

    metrics: dict[str, np.ndarray]
    findings: dict[str, Any]
    p: np.ndarray
    calibration: tuple[np.ndarray, np.ndarray]


def detected(classes: Sequence[str], multi_label: bool, positive: str) -> tuple[str, ...]:
    """The classes that are decided on: the positive one; of two classes one, of more each.

    Raises ValueError for a positive class that there is not.
    """
    if positive and positive not in classes:
        raise ValueError(f"--positive={positive} is none of the classes {', '.join(classes[:20])}")
    if positive:
        return (positive,)
    return tuple(classes) if multi_label or len(classes) > 2 else (classes[-1],)


def fit(goal: Goal, logits: np.ndarray, labels: np.ndarray) -> Rule:
    """The rule by a held-out part: logits [S, N, C], labels [N] or [N, C].

    A class without an example there, or with nothing else, is decided at one half.
    """
    temperatures = tuple(fit_temperature(x, labels) for x in logits)
    p = mean_probability(goal, temperatures, logits)
    return Rule(temperatures, thresholds(goal, p, labels))


def thresholds(goal: Goal, p: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The threshold of each detected class by probabilities [N, C]."""
    positive = scores.one_against_rest(labels, len(goal.classes))
    found = {}
    for name in goal.detected:
        c = goal.classes.index(name)
        both = 0 < positive[:, c].sum() < len(positive)
        found[name] = (
            operating_point.choose(p[:, c], positive[:, c], goal.sensitivity) if both else HALF
        )
    return found


def mean_probability(goal: Goal, temperatures: Sequence[float], logits: np.ndarray) -> np.ndarray:
    """Probabilities [N, C] of logits [S, N, C]: the mean over the seeds."""
    each = [scaled(x, t, goal.multi_label) for x, t in zip(logits, temperatures, strict=True)]
    return np.mean(each, 0)


def review(
    goal: Goal,
    rule: Rule,
    logits: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str] | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
) -> Review:
    """The scores of logits [S, N, C] for labels [N] or [N, C].

    patients: of each example, whom the intervals are over; None: each image is one.
    validation: (logits, labels) by which each seed alone has thresholds of its own; None: all have
    the rule's.
    """
    positive = scores.one_against_rest(labels, len(goal.classes))
    p = mean_probability(goal, rule.temperatures, logits)
    groups = np.arange(len(labels)) if patients is None else np.array(patients)
    drawn = scores.resamples(groups)
    right, counts = scores.correct(p, labels), calibration_counts(p, labels)
    plain = mean_probability(goal, (1.0,) * len(logits), logits)
    values = {
        "auc": float(scores.mean_auc(p, labels)),
        "auc_interval": scores.interval(scores.mean_auc(p, labels, drawn)),
        "accuracy": float(right.mean()),
        "accuracy_interval": scores.interval(drawn @ right / drawn.sum(1)),
        "calibration_error": float(expected_calibration_error(counts)),
        "calibration_error_unscaled": float(
            expected_calibration_error(calibration_counts(plain, labels))
        ),
        "operating_points": {
            name: operating_point.rates(
                p[:, goal.classes.index(name)],
                positive[:, goal.classes.index(name)],
                threshold,
                None if patients is None else drawn,
            )
            for name, threshold in rule.thresholds.items()
        },
        "intervals_over": "images" if patients is None else f"{len(set(patients))} patients",
    }
    if goal.graded:
        values["kappa"] = scores.kappa(p, labels)
    each = [_of_seed(goal, rule, s, logits, labels, validation) for s in range(len(logits))]
    metrics = {name: np.array([x[name] for x in each]) for name in each[0]}
    return Review(metrics, values, p, counts)


def _of_seed(
    goal: Goal,
    rule: Rule,
    seed: int,
    logits: np.ndarray,
    labels: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray] | None,
) -> dict[str, float]:
    """The scores of one network, at thresholds of its own where there is a validation part."""
    t = rule.temperatures[seed]
    p = scaled(logits[seed], t, goal.multi_label)
    values = {
        "auc": float(scores.mean_auc(p, labels)),
        "calibration_error": float(expected_calibration_error(calibration_counts(p, labels))),
    }
    if goal.graded:
        values["kappa"] = scores.kappa(p, labels)
    if len(goal.detected) == 1:
        chosen = rule.thresholds
        if validation is not None:
            held = scaled(validation[0][seed], t, goal.multi_label)
            chosen = thresholds(goal, held, validation[1])
        (name,), c = goal.detected, goal.classes.index(goal.detected[0])
        positive = scores.one_against_rest(labels, len(goal.classes))[:, c]
        point = operating_point.rates(p[:, c], positive, chosen[name])
        values |= {
            x: np.nan if point[x] is None else point[x] for x in ("sensitivity", "specificity")
        }
    return values


def lines(found: Review) -> tuple[str, ...]:
    """The findings in words for the user."""
    x = found.findings
    low, high = x["auc_interval"]
    first = (
        f"mean over seeds: AUC {x['auc']:.4f} (95 % interval {low:.3f} to {high:.3f} over "
        f"{x['intervals_over']}), accuracy {x['accuracy']:.4f}; calibration error "
        f"{x['calibration_error']:.3f}, without temperature {x['calibration_error_unscaled']:.3f}"
    )
    return (first, *(_line(name, point) for name, point in x["operating_points"].items()))


def _line(name: str, point: dict[str, Any]) -> str:
    parts = [
        f"{rate} {point[rate]:.3f} ({point[f'{rate}_interval'][0]:.3f} to "
        f"{point[f'{rate}_interval'][1]:.3f})"
        for rate in ("sensitivity", "specificity")
        if point[rate] is not None
    ]
    return f"{name}, called from probability {point['threshold']:.3f} on: {', '.join(parts)}"
