"""Finds a prepared TFDS set in its folder and reads its description, without importing tfds."""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from dljax.data.sources.download import download

VERSION = re.compile(r"\d+\.\d+\.\d+")


class Prepared(NamedTuple):
    """What the JSON files of a prepared set say about it."""

    name: str
    """'tfds:mnist'"""
    folder: Path
    """The folder of the version."""
    splits: dict[str, int]
    """Number of examples of each split."""
    image: str
    """The key of the image in an example."""
    label: str
    """The key of the label."""
    shape: tuple[int | None, int | None, int]
    """Height, width and channels; None where they differ from image to image."""
    classes: tuple[str, ...]


class Description(NamedTuple):
    """What is said about any prepared set.

    name: 'tfds:mnist'. folder: of the version. splits: number of examples of each. features: {key:
    its entry in features.json}. supervised: the keys of input and target, as text.
    """

    name: str
    folder: Path
    splits: dict[str, int]
    features: dict[str, dict]
    supervised: str


def find(dataset: str, data_dir: str | None = None) -> Prepared:
    """Finds a prepared set of labelled images, downloads it where there is none."""
    return labelled_images(describe(dataset, data_dir))


def describe(dataset: str, data_dir: str | None = None) -> Description:
    """Finds a prepared set, downloads it where there is none, and reads its JSON files."""
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    match = re.fullmatch(r"tfds:(\w+)(?:/([^:/]+))?(?::(\d+\.\d+\.\d+))?", dataset)
    if match is None:
        raise ValueError(
            f"{dataset!r} names no TFDS set: write tfds:NAME, or tfds:NAME/CONFIG:1.0.0."
        )
    name, config, version = match.groups()
    folder = version_folder(root, name, config, version)
    if folder is None:
        download(dataset.removeprefix("tfds:"), root, missing(dataset, root))
        folder = version_folder(root, name, config, version)
        if folder is None:
            raise FileNotFoundError(missing(dataset, root))
    return read_description(dataset, folder)


def version_folder(root: Path, name: str, config: str | None, version: str | None) -> Path | None:
    """The folder of the requested version, or of the newest; None where nothing is prepared."""
    base = root / name / config if config else root / name
    found = versions(base)
    if not found and not config:
        configs = [path for path in _folders(base) if versions(path)]
        if len(configs) > 1:
            names = ", ".join(path.name for path in configs)
            raise ValueError(f"tfds:{name} has several configurations ({names}): name one of them.")
        found = versions(configs[0]) if configs else []
    if version:
        found = [path for path in found if path.name == version]
    return max(found, key=lambda path: [int(n) for n in path.name.split(".")], default=None)


def versions(base: Path) -> list[Path]:
    """The prepared versions in a folder."""
    return [
        path
        for path in _folders(base)
        if VERSION.fullmatch(path.name) and (path / "dataset_info.json").is_file()
    ]


def _folders(base: Path) -> list[Path]:
    return sorted(path for path in base.iterdir() if path.is_dir()) if base.is_dir() else []


def missing(dataset: str, root: Path) -> str:
    """One line: what is not there, what is there, and what to do."""
    there = []
    for path in _folders(root):
        if versions(path):
            there.append(path.name)
        there += [f"{path.name}/{config.name}" for config in _folders(path) if versions(config)]
    return (
        f"{dataset} is not in {root} (sets there: {', '.join(there) or 'none'}) and could not be "
        "downloaded and prepared: give its --data_dir, or prepare it on a machine with a network "
        f"by tfds.builder({dataset.removeprefix('tfds:')!r}, file_format='array_record')"
        ".download_and_prepare(), which needs importlib_resources and, for images, tensorflow, "
        "and copy it here"
    )


def read_description(dataset: str, folder: Path) -> Description:
    """Reads the JSON files of a version's folder; raises ValueError where they can't be used."""
    try:
        info = json.loads((folder / "dataset_info.json").read_text())
        features = json.loads((folder / "features.json").read_text())
        features = features["featuresDict"]["features"]
        splits = {
            part["name"]: sum(int(length) for length in part["shardLengths"])
            for part in info["splits"]
        }
        file_format = info.get("fileFormat", "tfrecord")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} has no readable TFDS description ({error}).") from error
    if file_format != "array_record":
        raise ValueError(
            f"{folder} is prepared as {file_format}, which only TensorFlow reads: prepare "
            f"{dataset} again with file_format='array_record'."
        )
    return Description(dataset, folder, splits, features, str(info.get("supervisedKeys", "")))


def class_names(folder: Path, label: str, count: int) -> tuple[str, ...]:
    """The names of a label's classes, of the file LABEL.labels.txt, else '0', '1', ..."""
    names = folder / f"{label}.labels.txt"
    return tuple(names.read_text().splitlines() if names.is_file() else map(str, range(count)))


def labelled_images(described: Description) -> Prepared:
    """The image and the label of a set; raises ValueError where it has none."""
    dataset, folder, splits, features, supervised = described
    image = [key for key, feature in features.items() if "image" in feature]
    label = [key for key, feature in features.items() if "classLabel" in feature]
    if not image or not label:
        raise ValueError(
            f"{dataset} is no set of labelled images: its fields are {', '.join(features)}."
        )
    image = next((key for key in image if f"'{key}'" in supervised), image[0])
    label = next((key for key in label if f"'{key}'" in supervised), label[0])
    details = features[image]["image"]
    if details.get("dtype", "uint8") != "uint8":
        raise ValueError(f"The images of {dataset} are {details['dtype']}, not uint8.")
    shape = [int(n) if int(n or 0) > 0 else None for n in details["shape"]["dimensions"]]
    if len(shape) != 3 or shape[2] not in (1, 3, 4):
        raise ValueError(f"The images of {dataset} have the shape {shape}, not [H, W, 1 or 3].")
    classes = class_names(folder, label, int(features[label]["classLabel"]["numClasses"]))
    shape = (shape[0], shape[1], min(shape[2], 3))
    return Prepared(dataset, folder, splits, image, label, shape, classes)
