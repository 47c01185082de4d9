"""Backbones of detectors, segmentation networks and classifiers, fresh or pretrained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from dljax.data.image_scaling import Normalize
from dljax.nn.efficientnet_lite import efficientnet_lite0
from dljax.nn.encoder_decoder import ENCODER
from dljax.nn.resnet import ResNet, resnet18
from dljax.transfer import finetuning, linear_probe, pretrained

HEAD = ("head", "head_norm", "classifier")  # layers of a classifier that a backbone lacks


class Backbone(NamedTuple):
    """module: makes the network (x, train) -> maps. strides: of the maps. variables: pretrained,
    of the backbone alone, and normalize: what they were trained with; None where it is fresh."""

    module: Callable[..., nn.Module]
    strides: tuple[int, ...]
    variables: dict[str, Any] | None = None
    normalize: Normalize | None = None

    def start(self, seeds: int) -> tuple:
        """What a task's init takes besides a key: the pretrained variables, for each seed."""
        if self.variables is None:
            return ()
        inside = {kind: {ENCODER: tree} for kind, tree in self.variables.items()}
        return (finetuning.for_seeds(inside, seeds),)

    def derived(self) -> dict[str, str]:
        """What a run's record keeps of the pretrained weights: their checksum."""
        if self.variables is None:
            return {}
        return {"weights of the backbone": linear_probe.digest(self.variables)[:8]}


def small(widths: tuple[int, ...], blocks: tuple[int, ...] = ()) -> Backbone:
    """A residual network with the first map at half the size of the image.

    blocks: of each size; (): one.
    """
    module = partial(
        ResNet,
        classes=0,
        stage_sizes=blocks or (1,) * len(widths),
        widths=widths,
        small_images=False,
        pool=False,
        pyramid=True,
    )
    return Backbone(module, tuple(2 ** (i + 1) for i in range(len(widths))))


@functools.cache
def load(name: str, use_weights: bool = True) -> Backbone:
    """The backbone of that name: "resnet18", or "efficientnet_lite0" with its ImageNet weights."""
    if name == "resnet18":
        module = partial(resnet18, classes=0, small_images=False, pyramid=True)
        return Backbone(module, (2, 4, 8, 16, 32))
    if name != "efficientnet_lite0":
        raise ValueError(f"unknown backbone {name!r}: choose resnet18 or efficientnet_lite0")
    module = partial(efficientnet_lite0, classes=0, pyramid=True)
    strides = (2, 4, 8, 16, 32)
    if not use_weights:
        return Backbone(module, strides)
    found = pretrained.load(name, head=False)
    kept = {
        kind: {layer: tree for layer, tree in layers.items() if layer not in HEAD}
        for kind, layers in found.variables.items()
    }
    normalize = Normalize(tuple(found.input.mean), tuple(found.input.std))
    return Backbone(module, strides, kept, normalize)


def rates(share: float) -> optax.GradientTransformation:
    """Multiplies the updates of the backbone's parameters by a share."""

    def inside(params: Any) -> Any:
        flat = {path: path[0] == ENCODER for path in flatten_dict(params)}
        return unflatten_dict(flat)

    return optax.masked(optax.scale(share), inside)
