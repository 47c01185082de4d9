"""Where a pretrained network comes from: a run of image_classification, or weights of others.

    source = load("runs/image_classification")
    source = load("efficientnet_lite0")

What comes back is a Flax module with its variables and all that its images must be brought to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from dljax.cnn.classification import Normalize
from dljax.train.parallel import place
from dljax.transfer import pretrained as weights
from experiments import image_classification, session

FIRST_HALF = "first_half"


class Source(NamedTuple):
    """A pretrained classifier.

    variables: of `model`, numpy. image_shape: [H, W, C] that it was trained with. classes: names.
    cut: brings a picture to that shape as it was done in its evaluation; None: it is resized.
    """

    name: str
    model: nn.Module
    variables: Any
    normalize: Normalize
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    cut: Callable[[np.ndarray], np.ndarray] | None = None


def load(source: str, workdir: str = "", architecture: str = "") -> Source:
    """The network that --source names.

    workdir: the run's, below which a first half lies. architecture: of weights whose file does not
    tell. Raises FileNotFoundError or ValueError, in one line, for what is none.
    """
    if source == FIRST_HALF:
        return from_run(str(half_folder(workdir)))
    if (Path(source) / "checkpoints").is_dir():
        return from_run(source)
    found = weights.load(source, architecture or None)
    expected = found.input
    return Source(
        source,
        found.model,
        found.variables,
        Normalize(tuple(expected.mean), tuple(expected.std)),
        (expected.size, expected.size, 3),
        found.classes,
        expected.cut,
    )


def half_folder(workdir: str) -> Path:
    """Where the network of the first half of the classes is: with a run, or with its comparison."""
    path = Path(workdir)
    return (path.parent if re.fullmatch(r"[a-z]+-\d+", path.name) else path) / "source"


def from_run(workdir: str) -> Source:
    """The network of the first seed of a run of image_classification, its averaged parameters."""
    if (name := session.experiment(workdir)) != "image_classification":
        raise ValueError(
            f"{workdir} is a run of {name}: --source takes those of image_classification"
        )
    config, facts = session.saved(image_classification.Config(workdir=workdir))
    classes, shape = tuple(facts["classes"]), tuple(facts["image_shape"])
    normalize = Normalize(tuple(facts["mean"]), tuple(facts["std"]))
    blank = np.zeros(
        (2, 2, shape[-1], 8 * shape[-1]), np.float32
    )  # the checkpoint has the true one
    model = image_classification.network(config, len(classes), shape, blank)
    task = image_classification.make_task(config, model, normalize, len(classes), shape)
    run, _ = session.restore(config, task, place("none"))
    variables = jax.tree.map(lambda x: np.asarray(x[0]), run.states.variables())
    return Source(workdir, model, variables, normalize, shape, classes)


def of_classes(
    classes: tuple[str, ...], dataset: str, data_dir: str | None, workdir: str, quiet: bool
) -> Source:
    """A network trained here to tell these classes of a data set apart, or found trained."""
    config = image_classification.Config(
        workdir=workdir, dataset=dataset, data_dir=data_dir, classes=classes, num_seeds=1,
        steps=600, quiet=quiet, plots=False, baselines=False,
    )  # fmt: skip
    if not (Path(workdir) / "summary.json").exists():
        image_classification.train(config)
    source = from_run(workdir)
    if source.classes != classes:
        raise ValueError(f"{workdir} holds a network of other classes: use another --workdir")
    return source
