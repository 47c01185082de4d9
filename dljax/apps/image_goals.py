"""What image_classification tells of an image: a class, several labels, or a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from dljax.apps.configs.image_classification import Config
from dljax.cnn.classification import baselines, targets
from dljax.cnn.classification.targets import Target
from dljax.data.class_balance import class_weights, positive_weights
from dljax.data.images import Images
from dljax.data.sources import Dataset
from dljax.data.sources.dataset import CLASSIFICATION, MULTI_LABEL, REGRESSION


class Goal(NamedTuple):
    """problem: as of `Dataset`. classes: names of classes or labels, or that of the number.

    scale: of a number, mean and deviation of the training labels.
    """

    problem: str
    classes: tuple[str, ...]
    scale: tuple[float, float] | None = None

    def target(self, label_smoothing: float = 0.0, weights: np.ndarray | None = None) -> Target:
        """The target that a network is trained for; without arguments what it is scored by."""
        if self.problem == REGRESSION:
            return targets.number(*self.scale)
        if self.problem == MULTI_LABEL:
            return targets.several_labels(len(self.classes), label_smoothing, weights)
        one = targets.one_class(len(self.classes), label_smoothing, weights)
        return targets.with_temperature(one)

    @property
    def headline(self) -> tuple[str, ...]:
        """The metrics that progress lines show."""
        return {
            CLASSIFICATION: ("accuracy", "loss"),
            MULTI_LABEL: ("auc", "map", "macro_f1", "loss"),
            REGRESSION: ("mae", "r2", "loss"),
        }[self.problem]

    @property
    def choose_by(self) -> str:
        """The metric that chooses the best checkpoint."""
        return {
            CLASSIFICATION: "max:accuracy",
            MULTI_LABEL: "max:map",
            REGRESSION: "min:mae",
        }[self.problem]

    @property
    def baselines(self) -> Callable[..., dict[str, dict[str, float]]]:
        """(train, test) -> name -> metrics of simple methods."""
        return {
            CLASSIFICATION: baselines.image_baselines,
            MULTI_LABEL: baselines.label_baselines,
            REGRESSION: baselines.number_baselines,
        }[self.problem]


def goal_of(data: Images) -> Goal:
    """The goal of a set that is ready to be trained on."""
    labels, scale = data.train_images["label"], None
    if data.problem == REGRESSION:
        scale = (float(labels.mean()), float(labels.std()))
    return Goal(data.problem, data.classes, scale)


def saved(metadata: Mapping[str, Any]) -> Goal:
    """The goal of a run; those of earlier releases told classes."""
    scale = metadata.get("scale")
    problem = metadata.get("problem", CLASSIFICATION)
    return Goal(problem, tuple(metadata["classes"]), scale and tuple(scale))


def target_of(config: Config, goal: Goal, labels: np.ndarray) -> Target:
    """The target of a Config, by the labels of the training images."""
    weights = None
    if config.balance and goal.problem == MULTI_LABEL:
        weights = positive_weights(labels, config.balance)
    elif config.balance:
        weights = class_weights(labels, len(goal.classes), config.balance)
    return goal.target(config.label_smoothing, weights)


def check(config: Config, data: Dataset) -> None:
    """Refuses flags that have no effect on a set, and labels that can't be learnt."""
    if data.problem != CLASSIFICATION and config.balanced_sampling:
        raise ValueError("--balanced_sampling is for one class an image: leave it out")
    if data.problem == REGRESSION and config.balance:
        raise ValueError("--balance is for classes or labels, not for a number: leave it out")
    labels = data.train["label"]
    if data.problem == REGRESSION and labels.min() == labels.max():
        raise ValueError(f"{data.name}: the number is {labels.min():g} for all training images.")
    if data.problem == MULTI_LABEL:
        same = np.flatnonzero(labels.min(0) == labels.max(0)).tolist()
        if same:
            names = ", ".join(data.classes[k] for k in same[:5])
            raise ValueError(f"{data.name}: the same for all training images: {names}.")
