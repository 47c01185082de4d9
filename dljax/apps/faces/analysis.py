"""What a trained run reaches on the test part, by the scores of its protocol, and the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import numpy as np

from dljax.apps.configs.face_recognition import Config
from dljax.apps.faces import embedding, pictures, scoring
from dljax.apps.faces.data import FaceData
from dljax.apps.faces.scoring import Decision
from dljax.cnn.faces import identification, verification
from dljax.run.experiment import Analysis
from dljax.train.loop import Run
from dljax.train.metrics import describe

Embeddings = dict[str, np.ndarray]
Found = tuple[dict[str, np.ndarray], dict[str, Any], list[str]]


def analyze(config: Config, model: nn.Module, data: FaceData, run: Run) -> Analysis:
    """The scores of each seed, intervals of the first, the decision by held-out people."""
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    found = {
        name: embedding.of_seeds(model, run.states, data.front, part.inputs)
        for name, part in parts.items()
        if part is not None
    }
    findings: dict[str, Any] = {}
    metadata: dict[str, Any] = {"decision": None}
    decisions: list[Decision] = []
    if data.validation is not None:
        held = data.validation.person
        decisions = [
            scoring.decide(x, held, config.fmr, config.enrolled) for x in found["validation"]
        ]
        joined = embedding.together(found["validation"])
        decision = scoring.decide(joined, held, config.fmr, config.enrolled)
        metadata["decision"] = {
            **decision._asdict(),
            "probability": decision.probability._asdict(),
        }
        findings["validation"] = _described(
            [scoring.verify(verification.all_pairs(x, held)) for x in found["validation"]]
        )
    rule = {"closed": _closed, "open": _open, "pairs": _of_pairs}[config.protocol]
    metrics, more, lines = rule(config, data, found, decisions)
    findings |= metadata | more

    def draw(folder: Path) -> None:
        threshold = decisions[0].threshold if decisions else None
        pictures.draw(config, model, data, run, found, threshold, folder)

    return Analysis({"faces": findings}, tuple(lines), metadata, draw, metrics)


def _described(values: Sequence[dict[str, float]]) -> dict[str, Any]:
    """name -> mean, deviation and values of the seeds."""
    return {name: describe(np.array([x[name] for x in values])) for name in values[0]}


def _by_seed(values: Sequence[dict[str, float]]) -> dict[str, np.ndarray]:
    return {name: np.array([x[name] for x in values]) for name in values[0]}


def _closed(
    config: Config, data: FaceData, found: Embeddings, decisions: Sequence[Decision]
) -> Found:
    """Rank-1 error and CMC against templates of the enrolled images."""
    del decisions
    results = [
        scoring.closed(gallery, data.train.person, probes, data.test.person)
        for gallery, probes in zip(found["train"], found["test"], strict=True)
    ]
    curves = np.stack([identification.cumulative_match(x.rank, len(x.people)) for x in results])
    wrong = int((results[0].rank > 1).sum())
    lines = [
        f"rank-1 error {1 - curves[0, 0]:.2%}: {wrong} of {len(data.test.person)} images of "
        f"{len(data.trained)} people, {config.enrolled} images enrolled, first seed; within the "
        f"best five {curves[0, min(4, curves.shape[1] - 1)]:.2%}"
    ]
    metrics = {"rank_1": curves[:, 0], "error": 1 - curves[:, 0]}
    return metrics, {"cmc": curves.mean(0).tolist()}, lines


def _open(
    config: Config, data: FaceData, found: Embeddings, decisions: Sequence[Decision]
) -> Found:
    """Verification of all pairs of unseen people, and identification with rejection."""
    person, values = data.test.person, []
    for seed, embeddings in enumerate(found["test"]):
        pairs = verification.all_pairs(embeddings, person)
        scores = scoring.verify(pairs)
        threshold = None
        if decisions:
            names = "false_match_rate", "true_match_rate"
            rates = verification.rates(pairs.genuine, pairs.impostor, decisions[seed].threshold)
            scores |= dict(zip(names, rates, strict=True))
            threshold = decisions[seed].identify
        scores |= scoring.identify(embeddings, person, config.enrolled, threshold)
        values.append(scores)
    intervals = verification.bootstrap(
        verification.all_pairs(found["test"][0], person), scoring.statistics()
    )
    lines = [interval_line(intervals, len(np.unique(person)))]
    if decisions:
        lines.append(threshold_line(values[0], decisions[0]))
    else:
        lines.append("no people were held out (--validation), so no threshold is chosen")
    findings = {"intervals": {name: point._asdict() for name, point in intervals.items()}}
    return _by_seed(values), findings, lines


def _of_pairs(
    config: Config, data: FaceData, found: Embeddings, decisions: Sequence[Decision]
) -> Found:
    """The accuracy over the folds of pairs.txt, mean and standard error."""
    del config, decisions
    scored = [fold_scores(x, data) for x in found["test"]]
    mean, error = scored[0]["accuracy"], scored[0]["standard_error"]
    lines = [f"accuracy {mean:.2%} ± {error:.2%} (standard error over folds), first seed"]
    return _by_seed(scored), {}, lines


def fold_scores(embeddings: np.ndarray, data: FaceData) -> dict[str, float]:
    """Of embeddings [N, D] of the test part: accuracy and standard error over folds, EER, TAR."""
    pairs = data.faces.pairs
    place = np.searchsorted(data.test.rows, pairs.rows)
    accuracy, curve = scoring.fold_accuracy(embeddings, pairs._replace(rows=place))
    return fold_values(accuracy, curve)


def fold_values(accuracy: np.ndarray, curve: verification.Curve) -> dict[str, float]:
    """Mean and standard error of accuracies [folds], and rates of the curve of all pairs."""
    folds = len(accuracy)
    error = accuracy.std(ddof=1) / folds**0.5 if folds > 1 else 0.0
    rates = {name: verification.tar_at(curve, far) for name, far in scoring.FARS.items()}
    eer = verification.equal_error_rate(curve)
    return {"accuracy": float(accuracy.mean()), "standard_error": float(error), "eer": eer, **rates}


def interval_line(intervals: dict[str, verification.Point], people: int) -> str:
    """EER and TAR with their intervals, for the user."""
    eer, tar, strict = (intervals[name] for name in ("eer", *scoring.FARS))
    return (
        f"{people} unseen people, first seed, with 95 % intervals over people: EER {eer.value:.2%} "
        f"({eer.low:.2%} to {eer.high:.2%}), TAR {tar.value:.2%} ({tar.low:.2%} to {tar.high:.2%}) "
        f"at FAR 1 %, {strict.value:.2%} ({strict.low:.2%} to {strict.high:.2%}) at FAR 0.1 %"
    )


def threshold_line(scores: dict[str, float], decision: Decision) -> str:
    """What a threshold that other people have set does, for the user."""
    return (
        f"threshold {decision.threshold:.3f}, at a false match rate of {decision.fmr:.2%} on the "
        f"held-out people: {scores['false_match_rate']:.2%} on the unseen ones, and "
        f"{scores['true_match_rate']:.2%} of pairs of one person accepted (first seed)"
    )
