"""Metrics of the detections in a corpus, by a network's errors or by any detector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dljax.data.anomaly_series import Labelled, mask
from dljax.rnn.anomaly import nab, prequential, range_metrics, thresholding


class Detections(NamedTuple):
    """The scores that a detector gives the rows of a corpus.

    surprise: [T] of each series, how unexpected each row is. score: the same, 0 where the detector
    pauses after an alarm; rows with score >= a threshold are detections.
    """

    surprise: list[np.ndarray]
    score: list[np.ndarray]


def by_values(
    corpus: Sequence[Labelled], rules: thresholding.Rules = thresholding.RULES
) -> list[list[np.ndarray]]:
    """The surprises of each series that need no network (`thresholding.value_surprises`)."""
    return [
        thresholding.value_surprises(
            series.values, prequential.running_moments(series.values)[1], rules
        )
        for series in corpus
    ]


def from_surprises(
    surprises: Sequence[Sequence[np.ndarray]], rules: thresholding.Rules
) -> Detections:
    """The Detections by the surprises [T] of each series, combined."""
    surprise = [thresholding.combined(each) for each in surprises]
    return Detections(surprise, [thresholding.with_pauses(s, rules) for s in surprise])


def from_errors(
    known: Sequence[Sequence[np.ndarray]],
    errors: np.ndarray,
    scale: np.ndarray,
    rules: thresholding.Rules,
) -> Detections:
    """The Detections by a network's errors [S, T] (in deviations), their scale [S, T] and `known`.

    known: the surprises of each series without the network (`by_values`).
    """
    every = []
    for surprises, error, deviation in zip(
        known, errors, scale, strict=False
    ):  # copies that fill up are last
        rows = len(surprises[0])
        raw = np.asarray(error[:rows], np.float64) * deviation[:rows]
        every.append([*surprises, *thresholding.error_surprises(raw, deviation[:rows], rules)])
    return from_surprises(every, rules)


def labelled(corpus: Sequence[Labelled]) -> bool:
    """Whether a corpus can be scored: all series have labels, and some an anomaly."""
    return all(s.windows is not None for s in corpus) and any(s.windows for s in corpus)


def scores(
    corpus: Sequence[Labelled], found: Detections, alarm: float | None = None
) -> dict[str, float]:
    """All metrics of a labelled corpus; names of profiles are NAB's.

    nab_...: with the best threshold of the corpus. nab_held_out: standard profile, each series with
    the best threshold of the others. nab_alarm: standard profile at the threshold `alarm`, which
    does not depend on labels. point_, range_: at the standard profile's threshold, mean over the
    series that have anomalies; auc_pr, vus_pr: of the surprise, likewise, the latter with buffers
    up to the longest window of a series. The rows of the probationary period are not scored.
    """
    result = {
        f"nab_{name}": nab.score(corpus, found.score, p)[0] for name, p in nab.PROFILES.items()
    }
    standard = nab.PROFILES["standard"]
    threshold = nab.score(corpus, found.score, standard)[1]
    result["nab_held_out"] = nab.score_held_out(corpus, found.score, standard)
    if alarm is not None:
        swept = [nab.sweep(s, x, standard) for s, x in zip(corpus, found.score, strict=True)]
        result["nab_alarm"] = nab.normalized(sum(s.at(alarm) for s in swept), corpus, standard)
    each = [
        _one(series, surprise, score >= threshold)
        for series, surprise, score in zip(corpus, *found, strict=True)
        if series.windows
    ]
    for name in each[0]:
        values = [one[name] for one in each if not math.isnan(one[name])]
        result[name] = float(np.mean(values)) if values else math.nan
    return result


def _one(series: Labelled, surprise: np.ndarray, detected: np.ndarray) -> dict[str, float]:
    rows = len(series.values)
    start = nab.probation(rows)
    truth, detected = mask(series.windows, rows)[start:], detected[start:]
    points, stretches = (
        range_metrics.point_scores(truth, detected),
        range_metrics.range_scores(truth, detected),
    )
    widest = max((last - first + 1 for first, last in series.windows), default=1)
    return {
        **{f"point_{name}": value for name, value in points.items()},
        **{f"range_{name}": value for name, value in stretches.items()},
        "auc_pr": range_metrics.average_precision(truth, surprise[start:]),
        "vus_pr": range_metrics.vus_pr(truth, surprise[start:], widest),
    }


def by_group(
    corpus: Sequence[Labelled], scored: Sequence[np.ndarray], profile: nab.Profile
) -> dict[str, float]:
    """The NAB score of each group (the part of a name before the /) at the common threshold.

    A group without windows has NaN.
    """
    threshold = nab.score(corpus, scored, profile)[1]
    groups: dict[str, list[int]] = {}
    for i, series in enumerate(corpus):
        groups.setdefault(series.name.partition("/")[0], []).append(i)
    result = {}
    for name, members in groups.items():
        raw = sum(nab.sweep(corpus[i], scored[i], profile).at(threshold) for i in members)
        result[name] = nab.normalized(raw, [corpus[i] for i in members], profile)
    return result
