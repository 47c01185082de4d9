"""Who is trained on and who is tested on: the closed set, the open set, people of no pair.

The split has a seed of its own, `split_seed`, so that runs of several seeds share it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dljax.apps.configs.face_recognition import Config
from dljax.data.sources.people import Faces


class Split(NamedTuple):
    """Rows of the images of each part. validation, test: of other people than train in the open
    set; in the closed set test holds other images of the same people. notes: lines for the user."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()


def split(config: Config, faces: Faces) -> Split:
    """The parts of a protocol; ValueError, in one line, for data that it can't divide."""
    rule = {"closed": _closed, "open": _open, "pairs": _pairs}[config.protocol]
    found = rule(config, faces)
    trained = np.unique(faces.person[found.train])
    if len(trained) < 2:
        raise ValueError(
            f"{faces.name}: {len(trained)} people are left to train on, two are needed"
        )
    return found


def _closed(config: Config, faces: Faces) -> Split:
    random = np.random.default_rng(config.split_seed)
    train, test, few = [], [], 0
    for number in range(len(faces.people)):
        rows = np.flatnonzero(faces.person == number)
        chosen = rows if config.split == "first" else random.permutation(rows)
        few += len(rows) <= config.enrolled
        train.append(chosen[: config.enrolled])
        test.append(chosen[config.enrolled :])
    train, test = (np.sort(np.concatenate(x)) for x in (train, test))
    if not len(test):
        raise ValueError(
            f"{faces.name}: nobody has more than enrolled={config.enrolled} images, so none is "
            "left to test on"
        )
    notes = (f"{few} of {len(faces.people)} people have no image left to test on",) if few else ()
    return Split(train, np.zeros(0, int), test, notes)


def _open(config: Config, faces: Faces) -> Split:
    if len(faces.people) < 2 * config.folds:
        raise ValueError(
            f"{faces.name}: {len(faces.people)} people are too few for {config.folds} folds of two "
            "or more: take fewer --folds, or --protocol=closed"
        )
    order = np.random.default_rng(config.split_seed).permutation(len(faces.people))
    parts = np.array_split(order, config.folds)
    tested = parts[config.fold]
    rest = np.concatenate([x for i, x in enumerate(parts) if i != config.fold])
    return _by_people(config, faces, rest, tested)


def _pairs(config: Config, faces: Faces) -> Split:
    if faces.pairs is None:
        raise ValueError(f"{faces.name} has no pairs.txt: name one with --pairs, as LFW's")
    tested = np.unique(faces.person[faces.pairs.rows])
    rest = np.setdiff1d(np.arange(len(faces.people)), tested)
    rest = np.random.default_rng(config.split_seed).permutation(rest)
    return _by_people(config, faces, rest, tested)


def _by_people(config: Config, faces: Faces, rest: np.ndarray, tested: np.ndarray) -> Split:
    """Of the people that are not tested, the first share is held out for validation."""
    held = round(config.validation * len(rest))
    held = max(held, 2) if config.validation else 0
    parts = rest[held:], rest[:held], tested
    rows = (np.flatnonzero(np.isin(faces.person, part)) for part in parts)
    counts = [len(part) for part in parts]
    note = "people: {} trained on, {} held out for the threshold, {} tested on".format(*counts)
    return Split(*rows, (note,))
