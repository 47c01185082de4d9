"""The networks of `benchmarks.steps` in PyTorch, with our weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


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


def resnet(params: Any, blocks: Iterable[tuple[int, int, int]], groups: int = 0) -> nn.Module:
    """dljax.nn.resnet.ResNet of one block a stage (inputs, width, stride); groups: GroupNorm."""
    parts = {f"stage{i + 1}_block1": Block(*b, groups) for i, b in enumerate(blocks)}
    first, last = (next(iter(parts.values())).conv1, list(parts.values())[-1].conv2)
    net = nn.Sequential(
        nn.Conv2d(3, first.in_channels, 3, 1, 1, bias=False),
        norm(first.in_channels, groups),
        nn.ReLU(),
        *parts.values(),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last.out_channels, 10)),
    )
    copy(params, [("stem", net[0]), ("classifier", net[-1])])
    for name, block in parts.items():
        modules = [("Conv_0", block.conv1), ("Conv_1", block.conv2)]
        if "shortcut" in params[name]:
            modules.append(("shortcut", block.shortcut[0]))
        copy(params[name], modules)
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
    """The twin of resnet.BasicBlock."""

    def __init__(self, inputs: int, width: int, stride: int, groups: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm1 = norm(width, groups)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = norm(width, groups)
        nn.init.zeros_(self.norm2.weight)
        self.shortcut = nn.Identity()
        if inputs != width or stride != 1:
            conv = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, norm(width, groups))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.shortcut(x) + self.norm2(self.conv2(y)))


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
