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

from dljax.apps import image_classification
from dljax.cnn.classification.classifier import Normalize
from dljax.data.sources import Dataset, letters
from dljax.run import session
from dljax.train.parallel import place
from dljax.transfer import pretrained as weights

LETTERS, FIRST_HALF = "letters", "first_half"
HERE = (LETTERS, FIRST_HALF)
"""Sources that are trained here, as part of the transfer: they need no file and no network."""
STEPS = {LETTERS: 1500, FIRST_HALF: 600}


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

    workdir: the run's, below which a source of HERE lies. architecture: of weights whose file does
    not tell. Raises FileNotFoundError or ValueError, in one line, for what is none.
    """
    if source in HERE:
        return from_run(str(folder(workdir)))
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


def folder(workdir: str) -> Path:
    """Where the network that was trained here is: with a run, or with its comparison."""
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


def trained_here(
    source: str, data: Dataset, dataset: str, data_dir: str | None, workdir: str, quiet: bool
) -> Source:
    """A network of HERE for a target, trained now, or found trained below the run's workdir.

    data: the target, read from `dataset` and `data_dir`: the source sees images of its size.
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
