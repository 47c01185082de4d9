"""The detector of `benchmarks.detection` and its loss in PyTorch, with our weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.twins import Block, convolution, copy
from dljax.cnn.detection.assignment import SETTINGS
from dljax.cnn.detection.detector import WEIGHTS


class Detector(nn.Module):
    """The twin of dljax.nn.detection_head.Detector on a ResNet of one block a stage."""

    def __init__(
        self, params: Any, widths: Sequence[int], levels: int, width: int, depth: int, classes: int
    ):
        super().__init__()
        self.levels, self.classes = levels, classes
        encoder, pyramid = params["encoder"], params["pyramid"]
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 7, 2, 3, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        copy(encoder, [("stem", self.stem[0])])
        self.stages = nn.ModuleList(
            Block(encoder[f"stage{i + 1}_block1"], 1 if i == 0 else 2) for i in range(len(widths))
        )

        def layer(inputs: int, size: int, stride: int = 1) -> nn.Module:
            return nn.Sequential(*convolution(inputs, width, size, stride))

        self.lateral = nn.ModuleList(layer(c, 1) for c in widths[-levels:])
        self.up = nn.ModuleList(layer(width, 3) for _ in range(levels - 1))
        self.halve = nn.ModuleList(layer(width, 3, 2) for _ in range(levels - 1))
        self.down = nn.ModuleList(layer(width, 3) for _ in range(levels - 1))
        pairs = [x for pair in zip(self.halve, self.down, strict=True) for x in pair]
        order = [*self.lateral, *self.up, *pairs]
        copy(pyramid, [(f"Conv_{i}", part[0]) for i, part in enumerate(order)])

        self.towers, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for kind in ("class", "box"):
            self.towers[kind] = nn.ModuleList(
                nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(depth)
            )
            self.norms[kind] = nn.ModuleList(
                nn.ModuleList(nn.BatchNorm2d(width) for _ in range(levels)) for _ in range(depth)
            )
            copy(params, [(f"{kind}_{i}", conv) for i, conv in enumerate(self.towers[kind])])
        self.score = nn.Conv2d(width, classes, 3, padding=1)
        bins = params["distances"]["kernel"].shape[-1]
        self.distance = nn.Conv2d(width, bins, 3, padding=1)
        copy(params, [("classifier", self.score), ("distances", self.distance)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps, x = [], self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        maps = [layer(x) for layer, x in zip(self.lateral, maps[-self.levels :], strict=True)]
        for i, layer in enumerate(self.up):
            at = self.levels - 2 - i
            above = F.interpolate(maps[at + 1], maps[at].shape[2:], mode="bilinear")
            maps[at] = layer(maps[at] + above)
        for at, (halve, layer) in enumerate(zip(self.halve, self.down, strict=True), 1):
            maps[at] = layer(maps[at] + halve(maps[at - 1]))
        scores, distances = [], []
        for level, x in enumerate(maps):
            ends = {}
            for kind, tower in self.towers.items():
                y = x
                for conv, norms in zip(tower, self.norms[kind], strict=True):
                    y = F.relu(norms[level](conv(y)))
                ends[kind] = y
            scores.append(self.score(ends["class"]).permute(0, 2, 3, 1).flatten(1, 2))
            distances.append(self.distance(ends["box"]).permute(0, 2, 3, 1).flatten(1, 2))
        return torch.cat(scores, 1), torch.cat(distances, 1).unflatten(2, (4, -1))


def loss(
    scores: Tensor, distances: Tensor, boxes: Tensor, labels: Tensor, centres: Tensor, steps: Tensor
) -> Tensor:
    """The loss of `dljax.cnn.detection.detector.task`, all images of the batch at once."""
    bins = distances.shape[-1]
    expected = distances.softmax(-1) @ torch.arange(bins, dtype=torch.float32, device=scores.device)
    expected = expected * steps[:, None]
    predicted = torch.cat([centres - expected[..., :2], centres + expected[..., 2:]], -1)
    with torch.no_grad():
        owner, goal = assign(scores.sigmoid(), predicted, boxes, labels, centres, steps)
    target = torch.zeros_like(scores)
    label = labels.clamp(min=0).gather(1, owner)
    target.scatter_(2, label[..., None], goal[..., None])
    entropy = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
    score = ((target - scores.sigmoid()).abs() ** 2 * entropy).sum()

    at = goal > 0  # only places with an object have a box
    mine = boxes.gather(1, owner[..., None].expand(-1, -1, 4))[at]
    weight, found = goal[at], predicted[at]
    places = centres.expand(len(boxes), -1, -1)[at]
    stride = steps.expand(len(boxes), -1)[at][:, None]
    box = ((1 - giou(found, mine)) * weight).sum()
    sides = torch.cat([places - mine[:, :2], mine[:, 2:] - places], -1) / stride
    sides = sides.clamp(0, bins - 1 - 1e-3)
    low = sides.long()
    share, log_p = sides - low, distances[at].log_softmax(-1)
    left, right = (log_p.gather(-1, (low + i)[..., None])[..., 0] for i in (0, 1))
    distribution = (-(left * (1 - share) + right * share).mean(-1) * weight).sum()
    total = WEIGHTS.score * score + WEIGHTS.box * box + WEIGHTS.distribution * distribution
    return total / goal.sum().clamp(min=1)


def assign(
    scores: Tensor, predicted: Tensor, boxes: Tensor, labels: Tensor, centres: Tensor, steps: Tensor
) -> tuple[Tensor, Tensor]:
    """Index of each place's object [B, A] and its target score [B, A], as in assignment.py."""
    overlap = pairwise_iou(boxes, predicted)
    index = labels.clamp(min=0)[..., None].expand(-1, -1, scores.shape[1])
    score = scores.transpose(1, 2).gather(1, index)
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    reach = torch.maximum((boxes[..., 2:] - boxes[..., :2])[:, :, None] / 2, steps[:, None])
    away = ((centres - middle[:, :, None]).abs() / reach).amax(-1)
    candidate = (away < 1) & (labels >= 0)[..., None]
    rank = score**SETTINGS.alpha * overlap**SETTINGS.beta
    order = torch.where(candidate, rank + 1e-9 * (2 - away), 0)
    least = order.topk(SETTINGS.top, -1).values[..., -1:]
    chosen = candidate & (order >= least)
    owner = torch.where(chosen, overlap + 1e-9 * (2 - away), -1).argmax(1)
    mine = chosen & (owner[:, None] == torch.arange(boxes.shape[1], device=boxes.device)[:, None])
    rank = torch.where(mine, rank.clamp(min=1e-9), 0)
    best = rank.amax(2, keepdim=True).clamp(min=1e-9)
    fit = torch.where(mine, overlap, 0).amax(2, keepdim=True).clamp(min=1e-3)
    return owner, torch.where(mine, rank / best * fit, 0).amax(1)


def area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of [..., M, 4] and [..., N, 4]: [..., M, N]."""
    a, b = a[..., :, None, :], b[..., None, :, :]
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    common = sides.clamp(min=0).prod(-1)
    union = area(a) + area(b) - common
    return torch.where(union > 0, common / union, 0)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of boxes [N, 4], one by one."""
    sides = torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])
    common = sides.clamp(min=0).prod(-1)
    union = area(a) + area(b) - common
    around = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(-1)
    return common / union.clamp(min=1e-9) - (around - union) / around.clamp(min=1e-9)


def keep(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """Greedy non-maximum suppression of boxes in falling order of scores, in a loop."""
    kept, left = [], torch.arange(len(boxes))[scores > 0]
    while len(left):
        first, left = left[0], left[1:]
        kept.append(int(first))
        overlap = pairwise_iou(boxes[first][None], boxes[left])[0]
        left = left[overlap <= threshold]
    return kept
