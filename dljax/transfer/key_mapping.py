"""Names of weights in other libraries: a small table for each naming, and common rules.

A table's row turns the place of a layer in our variables into its name elsewhere:

    ("stage{}_block{}/Conv_{}", "layer{}.{}.conv{}", (0, -1, 1))
    stage2_block1/Conv_0   ->   layer2.0.conv1            each number plus its offset

The first row that fits counts. With {n} on the left, blocks are numbered through from 0, whatever
their stage. Below a layer the rules are the same everywhere: kernel, scale and bias are torch's
weight, weight and bias, the statistics of BatchNorm its running_mean and running_var; kernels of
convolutions lie [O, I, H, W] there and [H, W, I, O] here (depthwise ones too), those of dense
layers [O, I] there and [I, O] here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Row = tuple[str, str, tuple[int, ...]]

LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean",
          "var": "running_var"}  # fmt: skip
COUNTER = "num_batches_tracked"  # of BatchNorm: no part of what it computes

RESNET: tuple[Row, ...] = (  # torchvision, timm
    ("stem", "conv1", ()),
    ("stem_norm", "bn1", ()),
    ("stage{}_block{}/Conv_{}", "layer{}.{}.conv{}", (0, -1, 1)),
    ("stage{}_block{}/BatchNorm_{}", "layer{}.{}.bn{}", (0, -1, 1)),
    ("stage{}_block{}/shortcut", "layer{}.{}.downsample.0", (0, -1)),
    ("stage{}_block{}/shortcut_norm", "layer{}.{}.downsample.1", (0, -1)),
    ("classifier", "fc", ()),
)
_BLOCK = "resnet.encoder.stages.{}.layers.{}"
RESNET_HUGGING_FACE: tuple[Row, ...] = (
    ("stem", "resnet.embedder.embedder.convolution", ()),
    ("stem_norm", "resnet.embedder.embedder.normalization", ()),
    ("stage{}_block{}/Conv_{}", f"{_BLOCK}.layer.{{}}.convolution", (-1, -1, 0)),
    ("stage{}_block{}/BatchNorm_{}", f"{_BLOCK}.layer.{{}}.normalization", (-1, -1, 0)),
    ("stage{}_block{}/shortcut", f"{_BLOCK}.shortcut.convolution", (-1, -1)),
    ("stage{}_block{}/shortcut_norm", f"{_BLOCK}.shortcut.normalization", (-1, -1)),
    ("classifier", "classifier.1", ()),
)
INVERTED_TIMM: tuple[Row, ...] = (  # EfficientNet-Lite and MobileNetV2; its first block is another
    ("stem", "conv_stem", ()),
    ("stem_norm", "bn1", ()),
    ("stage1_block{}/depthwise", "blocks.0.{}.conv_dw", (-1,)),
    ("stage1_block{}/depthwise_norm", "blocks.0.{}.bn1", (-1,)),
    ("stage1_block{}/project", "blocks.0.{}.conv_pw", (-1,)),
    ("stage1_block{}/project_norm", "blocks.0.{}.bn2", (-1,)),
    ("stage{}_block{}/expand", "blocks.{}.{}.conv_pw", (-1, -1)),
    ("stage{}_block{}/expand_norm", "blocks.{}.{}.bn1", (-1, -1)),
    ("stage{}_block{}/depthwise", "blocks.{}.{}.conv_dw", (-1, -1)),
    ("stage{}_block{}/depthwise_norm", "blocks.{}.{}.bn2", (-1, -1)),
    ("stage{}_block{}/project", "blocks.{}.{}.conv_pwl", (-1, -1)),
    ("stage{}_block{}/project_norm", "blocks.{}.{}.bn3", (-1, -1)),
    ("head", "conv_head", ()),
    ("head_norm", "bn2", ()),
    ("classifier", "classifier", ()),
)
EFFICIENTNET_LITE_PACKAGE: tuple[Row, ...] = (  # efficientnet_lite_pytorch
    ("stem", "_conv_stem", ()),
    ("stem_norm", "_bn0", ()),
    ("block{n}/expand", "_blocks.{}._expand_conv", (0,)),
    ("block{n}/expand_norm", "_blocks.{}._bn0", (0,)),
    ("block{n}/depthwise", "_blocks.{}._depthwise_conv", (0,)),
    ("block{n}/depthwise_norm", "_blocks.{}._bn1", (0,)),
    ("block{n}/project", "_blocks.{}._project_conv", (0,)),
    ("block{n}/project_norm", "_blocks.{}._bn2", (0,)),
    ("head", "_conv_head", ()),
    ("head_norm", "_bn1", ()),
    ("classifier", "_fc", ()),
)
MOBILENETV2_TORCHVISION: tuple[Row, ...] = (
    ("stem", "features.0.0", ()),
    ("stem_norm", "features.0.1", ()),
    ("stage1_block1/depthwise", "features.1.conv.0.0", ()),
    ("stage1_block1/depthwise_norm", "features.1.conv.0.1", ()),
    ("stage1_block1/project", "features.1.conv.1", ()),
    ("stage1_block1/project_norm", "features.1.conv.2", ()),
    ("block{n}/expand", "features.{}.conv.0.0", (1,)),
    ("block{n}/expand_norm", "features.{}.conv.0.1", (1,)),
    ("block{n}/depthwise", "features.{}.conv.1.0", (1,)),
    ("block{n}/depthwise_norm", "features.{}.conv.1.1", (1,)),
    ("block{n}/project", "features.{}.conv.2", (1,)),
    ("block{n}/project_norm", "features.{}.conv.3", (1,)),
    ("head", "features.18.0", ()),
    ("head_norm", "features.18.1", ()),
    ("classifier", "classifier.1", ()),
)
_STEM, _LAYER = "mobilenet_v2.conv_stem", "mobilenet_v2.layer.{}"
MOBILENETV2_HUGGING_FACE: tuple[Row, ...] = (
    ("stem", f"{_STEM}.first_conv.convolution", ()),
    ("stem_norm", f"{_STEM}.first_conv.normalization", ()),
    ("stage1_block1/depthwise", f"{_STEM}.conv_3x3.convolution", ()),
    ("stage1_block1/depthwise_norm", f"{_STEM}.conv_3x3.normalization", ()),
    ("stage1_block1/project", f"{_STEM}.reduce_1x1.convolution", ()),
    ("stage1_block1/project_norm", f"{_STEM}.reduce_1x1.normalization", ()),
    ("block{n}/expand", f"{_LAYER}.expand_1x1.convolution", (-1,)),
    ("block{n}/expand_norm", f"{_LAYER}.expand_1x1.normalization", (-1,)),
    ("block{n}/depthwise", f"{_LAYER}.conv_3x3.convolution", (-1,)),
    ("block{n}/depthwise_norm", f"{_LAYER}.conv_3x3.normalization", (-1,)),
    ("block{n}/project", f"{_LAYER}.reduce_1x1.convolution", (-1,)),
    ("block{n}/project_norm", f"{_LAYER}.reduce_1x1.normalization", (-1,)),
    ("head", "mobilenet_v2.conv_1x1.convolution", ()),
    ("head_norm", "mobilenet_v2.conv_1x1.normalization", ()),
    ("classifier", "classifier", ()),
)


class Report(NamedTuple):
    """Which of a file's arrays fit; names as in the file, or as they would be in it.

    network: the name of the one that was taken, others: of those that were not. head: the name of
    the last layer, where the file calls it otherwise. beside: what else is in the file.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    wrong_shape: tuple[str, ...]  # "name (64, 3, 7, 7), not (64, 3, 3, 3)"
    network: str = ""
    others: tuple[str, ...] = ()
    head: str = ""
    beside: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{len(self.matched)} arrays matched"]
        for what in ("missing", "left_over", "wrong_shape"):
            if names := getattr(self, what):
                more = ", ..." if len(names) > 3 else ""
                what = what.replace("_", " ")
                parts.append(f"{len(names)} {what} ({', '.join(names[:3])}{more})")
        if self.others:
            names = ", ".join(repr(name) for name in self.others)
            parts.append(f"the network {self.network!r} is taken, not {names} (--network)")
        if self.head:
            parts.append(f"its last layer is called {self.head}")
        if self.beside:
            more = ", ..." if len(self.beside) > 5 else ""
            parts.append(f"not used: {', '.join(self.beside[:5])}{more}")
        return "; ".join(parts)


def translate(paths: Sequence[str], table: Sequence[Row]) -> dict[str, str]:
    """Our paths ("params/stem/kernel") and their names by the table ("conv1.weight")."""
    layers = {path: path.partition("/")[2].rpartition("/") for path in paths}
    if other := [path for path, (_, _, leaf) in layers.items() if leaf not in LEAVES]:
        raise ValueError(f"{other[0]} is none of {', '.join(LEAVES)}")
    block = re.compile(r"stage(\d+)_block(\d+)")
    found = {tuple(map(int, m.groups())) for path in paths if (m := block.search(path))}
    number = {f"stage{s}_block{b}": n for n, (s, b) in enumerate(sorted(found))}
    return {
        path: f"{_layer(layer, number, table)}.{LEAVES[leaf]}"
        for path, (layer, _, leaf) in layers.items()
    }


def _layer(layer: str, number: Mapping[str, int], table: Sequence[Row]) -> str:
    top, _, below = layer.partition("/")
    for pattern, name, offsets in table:
        place = f"block{number[top]}/{below}" if "{n}" in pattern and top in number else layer
        expression = re.escape(pattern).replace(r"\{\}", r"(\d+)").replace(r"\{n\}", r"(\d+)")
        if match := re.fullmatch(expression, place):
            numbers = [int(x) + o for x, o in zip(match.groups(), offsets, strict=True)]
            return name.format(*numbers)
    raise ValueError(f"the table has no row for {layer}")


def to_ours(array: np.ndarray) -> np.ndarray:
    """torch's layout [O, I, H, W] or [O, I] as [H, W, I, O] or [I, O]; vectors stay."""
    return array.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim)))


def to_torch(array: np.ndarray) -> np.ndarray:
    """The way back from `to_ours`."""
    return array.transpose({4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim, range(array.ndim)))


def renamed(variables: Mapping[str, np.ndarray], table: Sequence[Row]) -> dict[str, np.ndarray]:
    """Our variables by path, under the table's names and in torch's layouts."""
    translated = translate(list(variables), table)
    return {translated[path]: to_torch(x) for path, x in variables.items()}


def match(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], table: Sequence[Row]
) -> tuple[dict[str, np.ndarray], Report]:
    """Arrays for our paths, float32, from those of a file, and the report.

    shapes: of our variables, by path. Raises ValueError for NaN, infinity and negative
    variances.
    """
    names = translate(list(shapes), table)
    found, missing, wrong = {}, [], []
    for path, name in names.items():
        if name not in arrays:
            missing.append(name)
            continue
        array = to_ours(arrays[name])
        if array.shape != shapes[path]:
            belongs = to_torch(np.broadcast_to(0, shapes[path])).shape
            wrong.append(f"{name} {arrays[name].shape}, not {belongs}")
            continue
        found[path] = _sound(name, np.ascontiguousarray(array, np.float32))
    taken = set(names.values())
    left = [name for name in arrays if name not in taken and not name.endswith(COUNTER)]
    matched = tuple(names[path] for path in found)
    return found, Report(matched, tuple(missing), tuple(left), tuple(wrong))


def _sound(name: str, array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite (NaN or infinity)")
    if name.endswith("running_var") and (array < 0).any():
        raise ValueError(f"{name} holds negative variances")
    return array


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"params/stem/kernel": x} as {"params": {"stem": {"kernel": x}}}."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *above, leaf = path.split("/")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[leaf] = value
    return tree
