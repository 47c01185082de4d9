"""The networks that pretrained weights can be read into, and the inputs they were trained with.

An architecture is a network of dljax.nn and the namings of its published weights. A naming has the
details in which its library differs (padding, epsilon of BatchNorm) and the input that its weights
are usually trained with; a configuration beside the weights overrides them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.nn import efficientnet_lite, mobilenet, resnet
from dljax.transfer import file_networks, key_mapping
from dljax.transfer.inputs import Input


class Naming(NamedTuple):
    """A table of names, fields of the network that its library sets otherwise, and its input."""

    table: tuple[key_mapping.Row, ...]
    settings: Mapping[str, Any] = {}
    input: Input = Input()


class Architecture(NamedTuple):
    """A network and its namings.

    build: called with classes and a naming's settings. namings: by their origin, best known first.
    """

    build: Callable[..., nn.Module]
    namings: Mapping[str, Naming]


HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
TENSORFLOW = {"same_padding": True, "epsilon": 1e-3}
PYTORCH = {"same_padding": False, "epsilon": 1e-5}


def _resnet(build: Callable[..., nn.Module]) -> Architecture:
    usual = Naming(key_mapping.RESNET)
    hugging_face = Naming(key_mapping.RESNET_HUGGING_FACE, {}, Input(interpolation="bicubic"))
    build = partial(build, small_images=False)
    return Architecture(build, {"torchvision": usual, "hugging face": hugging_face})


def _lite(build: Callable[..., nn.Module], size: int, crop: float) -> Architecture:
    # The published models were trained on (pixel - 127) / 128.
    mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    package = Naming(
        key_mapping.EFFICIENTNET_LITE_PACKAGE, TENSORFLOW, Input(size, crop, mean, std, "bicubic")
    )
    timm = Naming(key_mapping.INVERTED_TIMM, PYTORCH, Input(size, crop, interpolation="bicubic"))
    return Architecture(build, {"package": package, "timm": timm})


def _tf_lite(build: Callable[..., nn.Module], size: int, crop: float) -> Architecture:
    expected = Input(size, crop, **HALF, interpolation="bicubic")
    return Architecture(build, {"timm": Naming(key_mapping.INVERTED_TIMM, TENSORFLOW, expected)})


LITES = {
    "lite0": (efficientnet_lite.efficientnet_lite0, 224, 0.875),
    "lite1": (efficientnet_lite.efficientnet_lite1, 240, 0.882),
    "lite2": (efficientnet_lite.efficientnet_lite2, 260, 0.890),
}
ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": _resnet(resnet.resnet18),
    "resnet34": _resnet(resnet.resnet34),
    "resnet50": _resnet(resnet.resnet50),
    "resnet101": _resnet(resnet.resnet101),
    **{f"efficientnet_{name}": _lite(*lite) for name, lite in LITES.items()},
    **{f"tf_efficientnet_{name}": _tf_lite(*lite) for name, lite in LITES.items()},
    "mobilenetv2": Architecture(
        mobilenet.MobileNetV2,
        {
            "torchvision": Naming(key_mapping.MOBILENETV2_TORCHVISION),
            "timm": Naming(key_mapping.INVERTED_TIMM, {}, Input(interpolation="bicubic")),
            "hugging face": Naming(key_mapping.MOBILENETV2_HUGGING_FACE, TENSORFLOW, Input(**HALF)),
        },
    ),
}
# torchvision's second weights, by the start of their files' SHA-256, which is in their names: they
# are evaluated on the middle 224 of 232 pixels.
SECOND = {"resnet50": "11ad3fa6", "resnet101": "cd907fc2", "mobilenetv2": "7ebf99e0"}
SECOND_CROP = 0.965
ALIASES = {"mobilenet_v2": "mobilenetv2", "mobilenetv2_100": "mobilenetv2"}


def find_name(text: str) -> str | None:
    """The architecture that a name, path or address mentions: "timm/resnet18.a1_in1k", if any."""
    text = text.lower().replace("-", "_")
    known = {**{name: name for name in ARCHITECTURES}, **ALIASES}
    # Followed by a digit or a letter it would be another: resnet18d, efficientnet_lite01.
    found = [
        (len(name), known[name])
        for name in known
        for rest in text.split(name)[1:]
        if not rest[:1].isalnum()
    ]
    return max(found)[1] if found else None


def shapes(module: nn.Module, size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a module's variables by path ("params/stem/kernel"), from input to output.

    Nothing is computed: the module is traced on a blank image [1, size, size, 3].
    """
    order: list[str] = []

    def init(key: jax.Array) -> Any:
        variables = module.init(key, jnp.zeros((1, size, size, 3)), train=False)
        order.extend(variables["params"])  # jax sorts the keys of what a trace returns
        return variables

    tree = jax.eval_shape(init, jax.random.key(0))
    flat = {
        "/".join(part.key for part in path): leaf.shape
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }
    return dict(sorted(flat.items(), key=lambda item: order.index(item[0].split("/")[1])))


def namings_of(architecture: str) -> list[Naming]:
    """The namings of an architecture; ValueError for one that is unknown."""
    if architecture not in ARCHITECTURES:
        every = ", ".join(ARCHITECTURES)
        raise ValueError(f"the architecture {architecture!r} is unknown; there are {every}")
    return list(ARCHITECTURES[architecture].namings.values())


def naming(architecture: str, arrays: Mapping[str, np.ndarray]) -> Naming:
    """The naming that a file's arrays follow, by the name of the stem; ValueError if none."""
    for found in namings_of(architecture):
        if file_networks.prefixes(arrays, found.table):
            return found
    some = ", ".join(list(arrays)[:3])
    raise ValueError(f"these are no weights of {architecture} by any name it has ({some}, ...)")
