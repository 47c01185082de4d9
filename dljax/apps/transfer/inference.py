"""Using what transfer_learning has trained, or a pretrained network as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dljax.apps.transfer.methods import make_task, network
from dljax.apps.transfer.target import features, fitted
from dljax.apps.transfer_learning import Config
from dljax.cnn.classification import classifier, inspection
from dljax.cnn.classification.classifier import Normalize
from dljax.data.sources import load_images, read_images
from dljax.nn.penultimate import penultimate
from dljax.run import session
from dljax.train.export import Field, Serving
from dljax.train.parallel import place
from dljax.train.supervised import State
from dljax.transfer import linear_probe
from dljax.transfer.lora import Adapted


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers an image with, the mean over its seeds.

    Adapters are merged into the network; a probe comes with the source's network before it.
    """
    workdir = Path(config.workdir)
    several = sorted(path.parent.name for path in workdir.glob("*-*/config.json"))
    if several and not (workdir / "config.json").exists():
        raise ValueError(
            f"{workdir} compares several runs ({', '.join(several)}): name the folder of one in it "
            "as --workdir"
        )
    config, facts = session.saved(config)
    (method,), classes, shape = config.method, tuple(facts["classes"]), tuple(facts["image_shape"])
    source = fitted(pretrained.load(config.source, config.workdir, config.architecture), config)
    normalize = Normalize(tuple(facts["mean"]), tuple(facts["std"]))
    width = facts["features"] if method == "probe" else None
    task = make_task(config, source, len(classes), (width,) if width else shape, facts["scale"])
    run, step = session.restore(config, task, place("none"))
    states = run.states.without_optimiser()
    if method == "probe":
        function = _probed(source, normalize, facts["scale"], len(classes))
        weights = {"network": source.variables, "heads": states.params}
    else:
        model = network(config, source, len(classes))
        if isinstance(model, Adapted):
            states = jax.vmap(lambda state: _state(model.merged(state.variables())))(states)
            model = model.model
        function, weights = inspection.answer(model, normalize), states
    return _described(function, weights, shape, classes, {"step": step, "seeds": config.num_seeds})


def source_serving(config: Config) -> Serving:
    """What the pretrained network itself answers an image with."""
    source = fitted(pretrained.load(config.source, config.workdir, config.architecture), config)
    weights = jax.tree.map(lambda x: np.asarray(x)[None], _state(source.variables))
    function = inspection.answer(source.model, source.normalize)
    return _described(
        function, weights, source.image_shape, source.classes, {"source": source.name}
    )


def cut(config: Config) -> Callable[[np.ndarray], np.ndarray] | None:
    """How a picture is brought to the shape of a source used as it is; None: it is resized."""
    own_size = config.image_size or config.channels
    if config.method != ("none",) or own_size:
        return None
    return pretrained.load(config.source, config.workdir, config.architecture).cut


def write_features(config: Config) -> Path:
    """Writes the features of the data set's images, or of those that --predict names, as .npz.

    Arrays: "train" and "test" [N, D] with "train_labels" and "test_labels" [N] and "classes"; or
    "features" [N, D] with "files" [N].
    """
    source = fitted(pretrained.load(config.source, config.workdir, config.architecture), config)
    height, width, channels = source.image_shape
    if config.predict:
        images = read_images(config.predict, size=(height, width), channels=channels)
        arrays = {"features": features(source, images.images), "files": np.array(images.names)}
    else:
        data = load_images(
            config.dataset,
            config.data_dir,
            size=(height, width),
            channels=channels,
            quiet=config.quiet,
        )
        arrays: dict[str, Any] = {"classes": np.array(data.classes)}
        for name, part in {"train": data.train, "test": data.test}.items():
            arrays |= {name: features(source, part["image"]), f"{name}_labels": part["label"]}
    path = Path(config.features)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    for name, array in arrays.items():
        if array.dtype == np.float32:
            print(f"{name}: {array.shape[0]} images, {array.shape[1]} features")
    print(path)
    return path


def _state(variables: Any) -> State:
    rest = {name: tree for name, tree in variables.items() if name != "params"}
    return State(variables["params"], rest, ())


def _probed(source: Any, normalize: Normalize, scale: float, classes: int) -> Any:
    head = linear_probe.Linear(classes)

    def function(weights: Any, inputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        x = normalize(classifier.in_floats(inputs["image"]))
        seen = penultimate(source.model, weights["network"], x)[0] / scale

        def of_seed(params):
            return jax.nn.softmax(head.apply({"params": params}, seen))

        return {"probability": jax.lax.map(of_seed, weights["heads"]).mean(0)}

    return function


def _described(
    function: Any, weights: Any, shape: tuple[int, ...], classes: tuple[str, ...], facts: dict
) -> Serving:
    color = "grey" if shape[-1] == 1 else "RGB"
    return Serving(
        function,
        weights,
        {"image": Field(shape, "uint8", 0, 255, about=f"{color} pixels, rows from the top")},
        {"probability": Field((len(classes),), names=classes, about="of each class")},
        facts,
    )
