"""The target of a transfer: the labelled images that each seed draws, and their features."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np

from dljax.apps.configs.transfer_learning import Config
from dljax.apps.transfer import source as sources
from dljax.apps.transfer.source import Source
from dljax.data.image_scaling import Normalize
from dljax.data.record import DataRecord
from dljax.data.record_kinds import images_record
from dljax.data.sources import Dataset, Levels, in_files, load_images
from dljax.data.sources.cache import user_cache
from dljax.data.sources.dataset import Arrays, select_classes, subsample_per_class
from dljax.data.sources.image import convert_all
from dljax.run import session
from dljax.transfer import finetuning, linear_probe, stem

WEIGHTS = "weights of the source"  # what a run's record calls their checksum


@dataclasses.dataclass(frozen=True)
class Target:
    """The source, and the target's images in its size and channels.

    train: the images that any of the seeds draws; `kept` are their indices in the pool, whose
    labels are `labels`. validation: None if none is held out. record: of the images as they were
    read. weights: checksum of the source's variables. levels: as of `Dataset`.
    """

    source: Source
    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    kept: np.ndarray
    train: Arrays
    validation: Arrays | None
    test: Arrays
    notes: tuple[str, ...]
    record: DataRecord
    weights: str
    levels: Levels | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """[H, W, C] of an image."""
        return self.train["image"].shape[1:]

    def pick(self, shots: int, seed: int) -> np.ndarray:
        """Indices in `train` of the images that a seed draws from the pool."""
        return np.searchsorted(self.kept, subsample_per_class(self.labels, shots, seed))

    @cached_property
    def features(self) -> dict[str, np.ndarray]:
        """Features [N, D] of each part by the source, computed once."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: features(self.source, x["image"]) for name, x in parts.items() if x}

    @cached_property
    def scale(self) -> float:
        """The root mean square of the features, by which a probe divides them."""
        return float(np.sqrt(np.mean(self.features["train"] ** 2)))


def prepare(config: Config) -> Target:
    """The source and the data of a Config, of which only images that are drawn are kept.

    Raises FileNotFoundError or ValueError, in one line, for a source or data that can't be used.
    """
    built_in, source = config.source in sources.BUILT_IN, None
    if not built_in:
        source = sources.load(config)
    # Images in files may differ in size: they are resized as they are read, others when chosen.
    files = in_files(config.dataset)
    size = fitted(source, config).image_shape[:2] if source else (config.image_size,) * 2
    size = size if (files or built_in) and all(size) else None
    data = load_images(config.dataset, config.data_dir, size=size, quiet=config.quiet)
    if built_in:
        source = sources.train_built_in(
            config.source, data, config.dataset, config.data_dir, config.workdir, config.quiet
        )
    if config.source == sources.FIRST_HALF:
        data = select_classes(data, data.classes[len(source.classes) :])
    return _subsample(config, source, data)


def _subsample(config: Config, loaded: Source, data: Dataset) -> Target:
    """The images that the seeds of a Config draw, fitted to the source's size and channels."""
    source = fitted(loaded, config)
    pool, held = np.arange(len(data.train["label"])), None
    if config.validation:
        held = subsample_per_class(data.train["label"], config.validation, 2**31 - 1)
        pool = np.delete(pool, held)
    labels = data.train["label"][pool]
    drawn = [subsample_per_class(labels, max(config.shots), seed) for seed in session.seeds(config)]
    kept = np.unique(np.concatenate(drawn))
    test = np.arange(len(data.test["label"]))
    if config.test_images:
        test = np.sort(np.random.RandomState(0).permutation(test)[: config.test_images])

    def part(arrays: Arrays, index: np.ndarray) -> Arrays:
        height, width, channels = source.image_shape
        images = convert_all(arrays["image"][index], (height, width), channels)
        return {"image": images, "label": arrays["label"][index]}

    return Target(
        source=source,
        name=f"{data.name} ({len(pool)} images to draw from, {len(test)} to test)",
        classes=data.classes,
        labels=labels,
        kept=kept,
        train=part(data.train, pool[kept]),
        validation=None if held is None else part(data.train, held),
        test=part(data.test, test),
        notes=(*data.notes, *source.notes),
        record=images_record({"train": data.train, "test": data.test}, data.classes, data.left_out),
        weights=checksum(loaded),
        levels=data.levels,
    )


def checksum(source: Source) -> str:
    """Of a source's weights, as they were loaded."""
    return linear_probe.digest(source.variables)[:8]


def fitted(source: Source, config: Config) -> Source:
    """The source for images of the size and channels that the Config wants."""
    height, width, channels = source.image_shape
    shape = (config.image_size or height, config.image_size or width, config.channels or channels)
    if shape[-1] != channels:
        first = finetuning.layers(source.model, source.variables, source.image_shape)[0]
        like = finetuning.shapes(source.model, shape)
        mean, std = (
            stem.fit_statistics(x, shape[-1]) for x in (source.normalize.mean, source.normalize.std)
        )
        source = source._replace(
            variables=stem.fit(source.variables, like, first), normalize=Normalize(mean, std)
        )
    return source._replace(image_shape=shape)


def features(source: Source, images: np.ndarray) -> np.ndarray:
    """Features float32 [N, D] of uint8 images, kept in the user's cache."""
    key = {
        "network": f"{source.model!r} {source.normalize}",
        "weights": linear_probe.digest(source.variables),
        "images": linear_probe.digest(images),
    }
    return linear_probe.cached(
        user_cache("features"),
        key,
        lambda: linear_probe.extract(source.model, source.variables, images, source.normalize),
    )


def feature_baselines(target: Target, config: Config, shots: int) -> dict[str, np.ndarray]:
    """Test accuracies [S] of simple methods on the features of the images that each seed draws."""
    x, queries = target.features["train"], target.features["test"]
    methods = {
        "nearest class mean": linear_probe.nearest_class_mean,
        "logistic regression": linear_probe.logistic_regression,
    }
    found: dict[str, list[float]] = {name: [] for name in methods}
    for seed in session.seeds(config):
        chosen = target.pick(shots, seed)
        for name, method in methods.items():
            predicted = method(x[chosen], target.train["label"][chosen], queries)
            found[name].append(float(np.mean(predicted == target.test["label"])))
    return {name: np.array(values) for name, values in found.items()}
