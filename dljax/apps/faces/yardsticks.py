"""Simple methods on the same split, and a trained run on other people."""

from __future__ import annotations

from typing import Any

import numpy as np

from dljax.apps.configs.face_recognition import Config
from dljax.apps.faces import scoring
from dljax.apps.faces.analysis import fold_values, interval_line
from dljax.apps.faces.data import FaceData
from dljax.apps.faces.gallery import Model
from dljax.apps.faces.scoring import Decision
from dljax.cnn.faces import baselines as simple
from dljax.cnn.faces import verification
from dljax.cnn.faces.calibration import Calibration
from dljax.cnn.faces.identification import unit
from dljax.data.sources.people import load_faces
from dljax.run import workdirs
from dljax.train.files import write_json


def baselines(config: Config, data: FaceData) -> dict[str, dict[str, float]]:
    """name -> scores of pixels, eigenfaces, LDA, SVM, and of the backbone before any training."""
    images, person, test = data.train.images, data.train.person, data.test
    if config.protocol == "closed":
        found = simple.closed_set(images, person, test.images, test.person)
        return {name: {"error": 1 - accuracy} for name, accuracy in found.items()}
    ways = simple.embeddings(images, person)
    vectors = {name: function(test.images) for name, function in ways.items()}
    if data.front.features is not None:
        own, others = data.train.inputs.mean(1), data.test.inputs.mean(1)
        vectors["frozen backbone"] = unit(others - own.mean(0))
    return {name: scores(config, data, x) for name, x in vectors.items()}


def scores(config: Config, data: FaceData, embeddings: np.ndarray) -> dict[str, float]:
    """The scores of a protocol for embeddings [N, D] of the test part."""
    if config.protocol == "pairs":
        pairs = data.faces.pairs
        place = np.searchsorted(data.test.rows, pairs.rows)
        return fold_values(*scoring.fold_accuracy(embeddings, pairs._replace(rows=place)))
    person = data.test.person
    found = scoring.verify(verification.all_pairs(embeddings, person))
    return found | scoring.identify(embeddings, person, config.enrolled)


def evaluate(model: Model, dataset: str, config: Config) -> dict[str, Any]:
    """Scores a trained run on all people of other data, or on its pairs.txt; trains nothing.

    Prints what it finds and writes workdir/evaluations/NAME.json. With pairs, the folds choose
    their thresholds; without, the run's own threshold is scored too. Nothing checks that these
    people were not trained on.
    """
    faces = load_faces(
        dataset, model.frame, channels=model.channels(), levels=model.levels(), pairs=config.pairs
    )
    for note in (*faces.left_out, *faces.notes):
        print(note)
    embeddings = model.embed(faces.images)
    found: dict[str, Any] = {"data": dataset, "step": model.serving.metadata["step"]}
    if faces.pairs is not None:
        values = fold_values(*scoring.fold_accuracy(embeddings, faces.pairs))
        print(f"accuracy {values['accuracy']:.2%} ± {values['standard_error']:.2%} over folds")
    else:
        pairs = verification.all_pairs(embeddings, faces.person)
        intervals = verification.bootstrap(pairs, scoring.statistics())
        found["intervals"] = {name: point._asdict() for name, point in intervals.items()}
        values = scoring.verify(pairs)
        chosen = model.decision and Decision(
            **{**model.decision, "probability": Calibration(**model.decision["probability"])}
        )
        if chosen:
            rates = verification.rates(pairs.genuine, pairs.impostor, chosen.threshold)
            values |= dict(zip(("false_match_rate", "true_match_rate"), rates, strict=True))
        values |= scoring.identify(
            embeddings, faces.person, config.enrolled, chosen and chosen.identify
        )
        print(interval_line(intervals, len(faces.people)))
    found["metrics"] = values
    path = workdirs.evaluation_path(model.workdir, dataset)
    write_json(path, found)
    print(path)
    return found
