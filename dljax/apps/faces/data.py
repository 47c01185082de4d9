"""The images of a Config, divided by its protocol, as the loop takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dljax.apps.configs.face_recognition import Config
from dljax.apps.faces import front as fronts
from dljax.apps.faces.front import Front
from dljax.apps.faces.splits import split
from dljax.data import feed
from dljax.data.feed import Examples, Feed
from dljax.data.identity_batches import identity_batches
from dljax.data.image_scaling import Normalize, normalization
from dljax.data.record import DataRecord
from dljax.data.record_kinds import images_record
from dljax.data.sources.people import Faces, Frame, load_faces

EVALUATION_BATCH = 64


class Part(NamedTuple):
    """Images uint8 [N, H, W, C] of people int [N], by their numbers in the data; rows: of them.

    inputs: what the network evaluates of them, see `front.evaluated`.
    """

    images: np.ndarray
    person: np.ndarray
    rows: np.ndarray
    inputs: np.ndarray


class FaceData(NamedTuple):
    """train, validation (None where nobody is held out), test. trained: numbers of the people that
    are trained on, in the order of the network's prototypes. normalize: of the pixels."""

    faces: Faces
    train: Part
    validation: Part | None
    test: Part
    trained: np.ndarray
    front: Front
    normalize: Normalize
    feed: Feed
    validation_examples: Examples | None
    test_examples: Examples
    record: DataRecord
    notes: tuple[str, ...]


def frame_of(config: Config) -> Frame:
    """How images of any size are brought to the size of a Config."""
    return Frame((config.image_size[0], config.image_size[1]), config.crop)


def load(config: Config, multiple: int = 1) -> FaceData:
    """Reads, divides and prepares the images; multiple: of an evaluation batch (of the devices).

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    faces = load_faces(config.dataset, frame_of(config), pairs=config.pairs)
    parts = split(config, faces)
    images = faces.images[parts.train]
    normalize = normalization(images)
    front = fronts.front(config, images.shape[1:], normalize)
    train = _part(faces, parts.train, front, config.flip)
    validation = _part(faces, parts.validation, front, config.flip)
    test = _part(faces, parts.test, front, config.flip)
    trained = np.unique(train.person)
    # Trained people first, as the prototypes are; then all others.
    order = np.concatenate([trained, np.setdiff1d(np.arange(len(faces.people)), trained)])
    number = np.argsort(order).astype(np.int32)
    arrays = {
        "image": fronts.training_arrays(config, front, images, train.inputs),
        "label": number[train.person],
    }
    if config.each():
        batches = identity_batches(arrays, config.batch_size, config.each())
    else:
        batches = feed.in_memory(arrays, config.batch_size)

    batch = feed.common_batch(EVALUATION_BATCH, len(validation.rows), len(test.rows))

    def examples(part: Part) -> Examples:
        held = {"image": part.inputs, "label": number[part.person]}
        return feed.examples(held, batch, multiple)

    named = {"train": train, "validation": validation, "test": test}
    record = images_record(
        {
            name: {"image": part.images, "label": part.person} if len(part.rows) else None
            for name, part in named.items()
        },
        faces.people,
        faces.left_out,
    )
    held_out = validation if len(validation.rows) else None
    return FaceData(
        faces,
        train,
        held_out,
        test,
        trained,
        front,
        normalize,
        batches,
        held_out and examples(held_out),
        examples(test),
        record,
        (*faces.notes, *parts.notes),
    )


def _part(faces: Faces, rows: np.ndarray, front: Front, flip: bool) -> Part:
    images = faces.images[rows]
    return Part(images, faces.person[rows], rows, fronts.evaluated(front, images, flip))
