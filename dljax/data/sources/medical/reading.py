"""Reads a labelled data set, and divides it so that no patient is in two parts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dljax.data.sources import load_images
from dljax.data.sources.dataset import Dataset, align_classes
from dljax.data.sources.dataset import split as split_by_class
from dljax.data.sources.divided import divide
from dljax.data.sources.image import Levels
from dljax.data.sources.layout import TEST_SHARE
from dljax.data.sources.medical import medmnist, patients
from dljax.data.sources.medical.labels import Arrays, LabelledImages

SALT = "validation "  # so that patients are held out otherwise than for the test part


def load(
    dataset: str,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    levels: Levels | None = None,
    classes: tuple[str, ...] = (),
    table: str = "",
    pattern: str = "",
    quiet: bool = False,
) -> LabelledImages:
    """A `.npz` in MedMNIST's layout, or a folder with a folder of images for each class.

    size, channels, levels: of a folder's images, as `load_images`. classes: names of a file's
    labels. table, pattern: name the patients of a folder's images, see `patients_of`; without
    train/ and test/ a fifth of the patients is then the test part.

    Raises FileNotFoundError, ValueError: one line, for what can't be used.
    """
    path = os.path.expanduser(dataset)
    if not os.path.isdir(path):
        if table or pattern:
            raise ValueError(
                f"{dataset} names no files, so --patients and --patient_pattern can't be used: "
                "they are for a folder of images"
            )
        if size is not None:
            raise ValueError(f"--image_size is for folders: {dataset} keeps the size that it has")
        return medmnist.read(path, classes)
    if classes:
        raise ValueError("--class_names is for .npz files: a folder's classes have its names")
    data = load_images(path, size=size, channels=channels, levels=levels, quiet=quiet)
    found = _of_folder(data)
    named = {
        part: patients.patients_of(files, table, pattern) for part, files in data.files.items()
    }
    if None in named.values():
        return found
    found = found._replace(patients=named)
    if list(divide(Path(path)).parts) == ["train"]:
        found = _divided_anew(found)
    patients.check(found.patients)
    counts = ", ".join(f"{len(set(x))} in {part}" for part, x in found.patients.items())
    return found._replace(notes=(*found.notes, f"patients: {counts}; none is in two parts"))


def hold_out(data: LabelledImages, share: float) -> LabelledImages:
    """The set with a part for validation, where it has none: a share of train, whole patients.

    Without patients the same share of each class. 0: none, and an own one is trained on too.
    """
    train, own = data.parts["train"], data.parts.get("validation")
    if own is not None and share:
        return data
    if own is not None:
        joined = _joined(data, ("train", "validation"))
        return joined._replace(parts={k: x for k, x in joined.parts.items() if k != "validation"})
    if not share:
        return data
    if data.patients is not None:
        held = patients.split(data.patients["train"], share, SALT)
        found = _part_off(data, held, "validation")
        return _with_all_classes(found, "validation")
    if data.multi_label:
        held = np.zeros(len(train["label"]), bool)
        order = np.random.RandomState(0).permutation(len(held))
        held[order[: max(1, round(share * len(held)))]] = True
        return _part_off(data, held, "validation")
    rest, held = split_by_class(train, share)
    return data._replace(parts={**data.parts, "train": rest, "validation": held})


def scored(data: LabelledImages, classes: tuple[str, ...]) -> Arrays:
    """The test part, its labels numbered as in `classes`. Raises ValueError for another class."""
    if data.multi_label:
        if data.classes != classes:
            raise ValueError(f"{data.name} has the labels {data.classes}, the model {classes}")
        return data.parts["test"]
    if tuple(map(str, range(len(data.classes)))) == data.classes and len(data.classes) == len(
        classes
    ):
        return data.parts["test"]  # a file that does not name them
    test = data.parts["test"]
    return align_classes(Dataset(data.name, test, test, data.classes), classes).test


def _of_folder(data: Dataset) -> LabelledImages:
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    parts = {name: part for name, part in parts.items() if part is not None}
    return LabelledImages(
        data.name, parts, data.classes, data.notes, data.left_out, levels=data.levels
    )


def _joined(data: LabelledImages, names: tuple[str, ...]) -> LabelledImages:
    """The set with these parts in train, one after another."""
    parts = [data.parts[name] for name in names]
    train = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    people = data.patients and {
        **{part: x for part, x in data.patients.items() if part not in names},
        "train": sum((data.patients[name] for name in names), ()),
    }
    return data._replace(parts={**data.parts, "train": train}, patients=people)


def _divided_anew(data: LabelledImages) -> LabelledImages:
    """A folder without parts: a fifth of the patients is the test part."""
    whole = _joined(data, ("train", "test"))
    held = patients.split(whole.patients["train"], TEST_SHARE)
    found = _with_all_classes(_part_off(whole, held, "test"), "test")
    notes = [x for x in found.notes if "a fifth of each class" not in x]
    note = f"{data.name} has no train/ and test/: a fifth of the patients, by hash, is the test set"
    return found._replace(notes=(*notes, note))


def _part_off(data: LabelledImages, held: np.ndarray, name: str) -> LabelledImages:
    """The set with the held examples of train as another part."""
    train = data.parts["train"]
    parts = {
        **data.parts,
        "train": {key: x[~held] for key, x in train.items()},
        name: {key: x[held] for key, x in train.items()},
    }
    people = data.patients
    if people is not None:
        each = np.array(people["train"])
        people = {**people, "train": tuple(each[~held]), name: tuple(each[held])}
    return data._replace(parts=parts, patients=people)


def _with_all_classes(data: LabelledImages, name: str) -> LabelledImages:
    """Refuses a part, or what it leaves of train, without an image of each class."""
    for part in ("train", name):
        lacking = set(range(len(data.classes))) - set(data.parts[part]["label"].tolist())
        if lacking:
            raise ValueError(
                f"{data.name}: no patient of class {data.classes[min(lacking)]!r} falls in "
                f"{part}: divide the folder into train/, val/ and test/ yourself"
            )
    return data
