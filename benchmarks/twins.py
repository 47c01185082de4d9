"""The networks of the benchmarks in PyTorch, with our weights, and what trains them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks import contest

LAYOUTS = {"torch": torch.contiguous_format, "torch channels_last": torch.channels_last}


def pictures(images: np.ndarray, layout: torch.memory_format, device: str = "cpu") -> torch.Tensor:
    """Images [B, H, W, C] as torch takes them, [B, C, H, W]."""
    return torch.tensor(images, device=device).permute(0, 3, 1, 2).contiguous(memory_format=layout)


def computed(net: nn.Module, dtype: str, device: str, compiled: bool = False) -> Callable:
    """A network computed in a dtype as ours are: parameters and outputs stay float32."""
    if compiled:
        torch.compiler.reset()  # else it gives up after some networks
    call = torch.compile(net) if compiled else net
    if dtype == "float32":
        return call

    def cast(*args: torch.Tensor) -> Any:
        with torch.autocast(device, getattr(torch, dtype)):
            return as_float32(call(*args))

    return cast


def as_float32(found: Any) -> Any:
    """A tensor, or tensors in tuples, in float32."""
    return tuple(map(as_float32, found)) if isinstance(found, tuple) else found.float()


def eager(
    net: nn.Module,
    loss: Callable[[Callable], torch.Tensor],
    part: str = "step",
    call: Callable | None = None,
) -> contest.Steps:
    """A contestant that steps by SGD with momentum; `loss` is of what it is given: call, or net."""
    trained = [p for p in net.parameters() if p.requires_grad]
    tx = torch.optim.SGD(trained, contest.RATE, contest.MOMENTUM)

    def steps(k: int) -> float:
        for _ in range(k):
            with torch.set_grad_enabled(part != "forward"):
                value = loss(net if call is None else call)
            if part != "forward":
                tx.zero_grad()
                value.backward()
            if part == "step":
                tx.step()
        return value.item()

    return steps


def lenet(params: Any) -> nn.Module:
    """dljax.nn.lenet.LeNet(10)."""
    net = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )
    names = ["Conv_0", "Conv_1", "Dense_0", "Dense_1", "classifier"]
    copy(params, zip(names, (m for m in net if hasattr(m, "weight")), strict=True))
    return net


def resnet(params: Any, groups: int = 0) -> nn.Module:
    """dljax.nn.resnet.ResNet, its sizes read off its parameters; groups: GroupNorm."""
    names = [name for name in params if name.startswith("stage")]
    names.sort(key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    starts = [name for name in names if name.endswith("block1")][1:]
    size, _, channels, width = params["stem"]["kernel"].shape
    large = size == 7
    net = nn.Sequential(
        nn.Conv2d(channels, width, size, 2 if large else 1, size // 2, bias=False),
        norm(width, groups),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1) if large else nn.Identity(),
        *(Block(params[name], 2 if name in starts else 1, groups) for name in names),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(*params["classifier"]["kernel"].shape),
    )
    copy(params, [("stem", net[0]), ("classifier", net[-1])])
    return net


def mobilenet(params: Any, stem: int, blocks: Iterable[tuple[int, int]]) -> nn.Module:
    """dljax.nn.mobilenet.MobileNet(10, blocks, stem, small_images=True)."""
    layers = [*convolution(3, stem, 3, 1)]
    for width, stride in blocks:
        layers += convolution(stem, stem, 3, stride, groups=stem)
        layers += convolution(stem, width, 1, 1)
        stem = width
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(stem, 10))
    convolutions = [m for m in net if isinstance(m, nn.Conv2d)]
    copy(params, [(f"Conv_{i}", m) for i, m in enumerate(convolutions)])
    copy(params, [("classifier", net[-1])])
    return net


def convolution(inputs: int, width: int, size: int, stride: int, groups: int = 1) -> tuple:
    """A convolution without a bias, BatchNorm, ReLU."""
    conv = nn.Conv2d(inputs, width, size, stride, size // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(width), nn.ReLU()


def norm(channels: int, groups: int) -> nn.Module:
    return nn.GroupNorm(groups, channels, eps=1e-6) if groups else nn.BatchNorm2d(channels)


class Block(nn.Module):
    """The twin of resnet.BasicBlock and resnet.Bottleneck, with its parameters."""

    def __init__(self, params: Any, stride: int, groups: int = 0):
        super().__init__()
        names = [name for name in ("Conv_0", "Conv_1", "Conv_2") if name in params]
        layers: list[nn.Module] = []
        for i, name in enumerate(names):
            size, _, inputs, width = params[name]["kernel"].shape
            step = stride if i == len(names) - 2 else 1
            conv = nn.Conv2d(inputs, width, size, step, size // 2, bias=False)
            layers += [conv, norm(width, groups), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])
        nn.init.zeros_(self.layers[-1].weight)
        self.shortcut = nn.Identity()
        if "shortcut" in params:
            conv = nn.Conv2d(*params["shortcut"]["kernel"].shape[2:], 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, norm(conv.out_channels, groups))
            copy(params, [("shortcut", conv)])
        copy(params, zip(names, self.layers[::3], strict=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.shortcut(x) + self.layers(x))


class UNet(nn.Module):
    """The twin of dljax.nn.unet.UNet."""

    def __init__(self, params: Any, channels: int, widths: tuple[int, ...], classes: int):
        super().__init__()

        def double(inputs: int, width: int) -> nn.Module:
            return nn.Sequential(
                *convolution(inputs, width, 3, 1), *convolution(width, width, 3, 1)
            )

        self.down = nn.ModuleList(
            double(a, b) for a, b in zip((channels, *widths[:-2]), widths[:-1], strict=True)
        )
        self.bottom = double(widths[-2], widths[-1])
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2, bias=False) for a, b in pairs)
        self.merge = nn.ModuleList(double(2 * b, b) for _, b in pairs)
        self.classifier = nn.Conv2d(widths[0], classes, 1)
        parts = [*self.down, self.bottom, *self.merge]
        convolutions = [m for part in parts for m in part if isinstance(m, nn.Conv2d)]
        copy(params, [(f"Conv_{i}", m) for i, m in enumerate(convolutions)])
        copy(params, [("classifier", self.classifier)])
        for i, up in enumerate(self.up):
            kernel = np.asarray(params[f"UpConv_{i}"]["Dense_0"]["kernel"])
            kernel = kernel.reshape(len(kernel), 2, 2, -1).transpose(0, 3, 1, 2)
            up.weight.data = torch.tensor(np.ascontiguousarray(kernel))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = []
        for part in self.down:
            x = part(x)
            seen.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([seen.pop(), up(x)], 1))
        return self.classifier(x)


class Flatten(nn.Module):
    """[N, C, H, W] to [N, H W C], in the order of NHWC."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def copy(params: Any, modules: Iterable[tuple[str, nn.Module]]) -> None:
    """Kernels and biases of ours into torch's modules."""
    for name, module in modules:
        kernel = torch.tensor(np.array(params[name]["kernel"]))
        kernel = kernel.permute(*((3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)))
        module.weight.data = kernel.contiguous()
        if "bias" in params[name]:
            module.bias.data = torch.tensor(np.array(params[name]["bias"]))
