"""Pretrained networks to start from: runs of image_classification, and published weights.

    source = load("runs/image_classification-digits")
    source = load("efficientnet_lite0")

A source is a Flax module, its variables, and the shape and normalisation of its images.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from dljax.apps import image_classification
from dljax.apps.configs import transfer_learning
from dljax.apps.configs.transfer_learning import METHODS
from dljax.data.image_scaling import Normalize
from dljax.data.sources import Dataset, letters
from dljax.data.sources.dataset import CLASSIFICATION
from dljax.run import session
from dljax.transfer import pretrained

LETTERS, FIRST_HALF = "letters", "first_half"
BUILT_IN = (LETTERS, FIRST_HALF)
"""Sources that are trained as part of the transfer: they need no file and no network access."""
STEPS = {LETTERS: 1500, FIRST_HALF: 600}


class Source(NamedTuple):
    """A pretrained classifier.

    variables: of `model`, numpy. image_shape: [H, W, C] of its training images. classes: names.
    cut: brings a picture to that shape as for its published accuracy; None: it is resized. notes:
    lines for the user, about what was read.
    """

    name: str
    model: nn.Module
    variables: Any
    normalize: Normalize
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    cut: Callable[[np.ndarray], np.ndarray] | None = None
    notes: tuple[str, ...] = ()


def load(config: transfer_learning.Config, head: bool = False) -> Source:
    """The network that --source names.

    head: whether its last layer is wanted; a file may lack it otherwise. A built-in source lies
    below the workdir. Raises FileNotFoundError or ValueError, in one line, for an unknown source.
    """
    source = config.source
    if source in BUILT_IN:
        return from_run(str(folder(config.workdir)))
    if (Path(source) / "checkpoints").is_dir():
        return from_run(source)
    found = pretrained.load(source, config.architecture or None, network=config.network, head=head)
    expected, report = found.input, found.report
    told = report.others or report.head or report.beside or report.missing or report.left_over
    return Source(
        source,
        found.model,
        found.variables,
        Normalize(tuple(expected.mean), tuple(expected.std)),
        (expected.size, expected.size, 3),
        found.classes,
        expected.cut,
        (f"{source}: {report}",) if told else (),
    )


def folder(workdir: str) -> Path:
    """Where a built-in source lies: in the workdir of a run, or of the comparison it belongs to."""
    path = Path(workdir)
    # lwlr: the name of llrd in older comparisons.
    compared = re.fullmatch(rf"({'|'.join((*METHODS, 'lwlr'))})-\d+", path.name)
    return (path.parent if compared else path) / "source"


def from_run(workdir: str) -> Source:
    """The network of the first seed of a run of image_classification, its averaged parameters."""
    if (name := session.experiment_name(workdir)) != "image_classification":
        raise ValueError(
            f"{workdir} is a run of {name}: --source takes those of image_classification"
        )
    trained = image_classification.load(workdir)
    if trained.goal.problem != CLASSIFICATION:
        raise ValueError(f"the run in {workdir} tells no classes: --source takes a classifier")
    variables = jax.tree.map(lambda x: np.asarray(x[0]), trained.states.variables())
    return Source(
        workdir,
        trained.model,
        variables,
        trained.normalize,
        trained.image_shape,
        trained.classes,
    )


def train_built_in(
    source: str, data: Dataset, dataset: str, data_dir: str | None, workdir: str, quiet: bool
) -> Source:
    """A built-in source for a target: trained below the run's workdir, unless it lies there.

    data: the target, read from `dataset` and `data_dir`; the source is trained on images of its
    size.
    """
    size, path = data.train["image"].shape[1], folder(workdir)
    if source == LETTERS:
        dataset, classes = LETTERS, letters.CLASSES
    else:
        classes = data.classes[: len(data.classes) // 2]
        if len(classes) < 2:
            raise ValueError(
                f"{data.name} has {len(data.classes)} classes, too few to pretrain on half of "
                "them: give another --source"
            )
    config = image_classification.Config(
        workdir=str(path), dataset=dataset, data_dir=data_dir, classes=classes, image_size=size,
        num_seeds=1, steps=STEPS[source], quiet=quiet, plots=False, baselines=False,
    )  # fmt: skip
    if not (path / "summary.json").exists():
        image_classification.train(config)
    found = from_run(str(path))
    if found.classes != classes or found.image_shape[0] != size:
        raise ValueError(f"{path} holds another network: use another --workdir")
    return found._replace(name=source)
