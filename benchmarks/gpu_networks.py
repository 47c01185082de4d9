"""The networks of images of `benchmarks.gpu`, each in both dtypes, with their twins in PyTorch.

Their floating-point operations are those of loss and gradient in float32, by XLA's cost analysis
before it changes the program.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import contest, detection
from benchmarks.contest import Steps
from benchmarks.gpu_cases import AGREE, Asked, Problem, name_of
from dljax.apps.configs import object_detection
from dljax.data import feed
from dljax.nn import resnet
from dljax.nn.unet import UNet


def classifiers(
    asked: Asked,
    name: str,
    make: Callable[..., Any],
    twin: Callable[[Any, Any], Any],
    shape: Sequence[int],
    classes: int,
    pixels: bool = False,
) -> dict[str, Problem]:
    """A network that classifies images, or each pixel, in both dtypes.

    make: dtype -> module. twin: (the module `twins`, our parameters) -> the same of PyTorch.
    """

    @functools.cache
    def start() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return contest.problem(make(dtype=None), shape, classes, pixels)

    def ours(dtype: str) -> Steps:
        batch, variables = start()
        loss = contest.loss_of(make(dtype=jnp.dtype(dtype)))
        return contest.in_our_loop(loss, variables["params"], variables["batch_stats"], batch)[0]

    def theirs(dtype: str, compiled: bool) -> Steps:
        from benchmarks import twins

        batch, variables = start()
        images = twins.pictures(batch["image"], asked.torch.channels_last, asked.device)
        labels = asked.torch.tensor(batch["label"], device=asked.device).long()
        loss = asked.torch.nn.functional.cross_entropy
        net = twin(twins, variables["params"])
        return by_torch(asked, net, lambda net: loss(net(images), labels), dtype, compiled)

    @functools.cache
    def work() -> float:
        batch, variables = start()
        loss = contest.loss_of(make(dtype=None))
        gradient = jax.grad(lambda params: loss(params, variables["batch_stats"], batch)[0])
        return contest.gigaflops(gradient, variables["params"])

    name = f"{name_of(asked, name)}, {shape[0]}x{shape[1]}x{shape[2]}"
    return {
        dtype: Problem(
            f"{name}, {dtype}", dtype, shape[0], "images", partial(ours, dtype),
            partial(theirs, dtype), work,
        )
        for dtype in AGREE
    }  # fmt: skip


def by_torch(
    asked: Asked, net: Any, loss: Callable[[Callable], Any], dtype: str, compiled: bool
) -> Steps:
    """What makes steps of a network of images in PyTorch, in the layout that cards prefer."""
    from benchmarks import twins

    net = net.to(asked.device, memory_format=asked.torch.channels_last)
    return twins.eager(net, loss, call=twins.computed(net, dtype, asked.device, compiled))


def resnets(asked: Asked) -> list[dict[str, Problem]]:
    """ImageNet's ResNets."""
    classes, shape = (
        (10, (2, 32, 32, 3)) if asked.tiny else (1000, (asked.fitting(256), 224, 224, 3))
    )
    small = {"stage_sizes": (1, 1), "widths": (4, 8)} if asked.tiny else {}

    def twin(twins: Any, params: Any) -> Any:
        return twins.resnet(params)

    return [
        classifiers(
            asked, name, partial(make, classes, small_images=False, **small), twin, shape, classes
        )
        for name, make in (("ResNet-50", resnet.resnet50), ("ResNet-18", resnet.resnet18))
    ]


def unet(asked: Asked) -> dict[str, Problem]:
    widths = (4, 8) if asked.tiny else (64, 128, 256, 512, 1024)
    shape = (2, 16, 16, 3) if asked.tiny else (asked.fitting(32), 256, 256, 3)

    def twin(twins: Any, params: Any) -> Any:
        return twins.UNet(params, 3, widths, 2)

    return classifiers(asked, "U-Net", partial(UNet, 2, widths), twin, shape, 2, pixels=True)


def detector(asked: Asked) -> dict[str, Problem]:
    """The detector on a ResNet of one block a stage, of scenes."""
    side, batch = (32, 2) if asked.tiny else (512, asked.fitting(32))
    widths, width, depth = ((4,) * 4, 4, 1) if asked.tiny else ((64, 128, 256, 512), 128, 2)

    @functools.cache
    def start(dtype: str) -> tuple[Any, Any, dict[str, np.ndarray]]:
        config = object_detection.Config(
            batch_size=batch, widths=widths, width=width, depth=depth, dtype=dtype
        )
        return config, *detection.detector(config, side)

    def ours(dtype: str) -> Steps:
        _, task, arrays = start(dtype)
        return contest.in_turn(task, feed.in_memory(arrays, batch))

    def theirs(dtype: str, compiled: bool) -> Steps:
        from benchmarks import twins

        config, task, arrays = start(dtype)
        net = detection.detector_twin(config, detection.one_seed(task).params)
        images = twins.pictures(arrays["image"], asked.torch.channels_last, asked.device)
        loss = detection.detector_loss(config, arrays, asked.device)
        return by_torch(asked, net, lambda net: loss(net, images.float() / 255), dtype, compiled)

    @functools.cache
    def work() -> float:
        _, task, arrays = start("float32")
        state = jax.eval_shape(task.init, jax.random.key(0))
        return contest.gigaflops(task.step, state, arrays, jax.random.key(0))

    name = f"{name_of(asked, 'detector')}, {batch}x{side}x{side}"
    return {
        dtype: Problem(
            f"{name}, {dtype}", dtype, batch, "images", partial(ours, dtype),
            partial(theirs, dtype), work,
        )
        for dtype in AGREE
    }  # fmt: skip
