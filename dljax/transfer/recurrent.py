"""torch.nn.LSTM, GRU and RNN: their weights into a Stack of dljax.nn.recurrent, and back.

LSTMCell, GRUCell and RNNCell are read as a layer of their own.

stack, params = load("model.pth", prefix="encoder.lstm.")
carries, outputs = stack.apply({"params": params}, sequences)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dljax.nn.recurrent import layers
from dljax.transfer import weights

CELLS = {4: layers.LSTM, 3: layers.GRU, 1: layers.RNN}  # by gates
NAME = re.compile(r"(weight|bias)_(ih|hh)_l\d+(_reverse)?")
CELL = re.compile(r"(weight|bias)_(ih|hh)")  # of LSTMCell, GRUCell and RNNCell


def load(path: str | Path, prefix: str = "") -> tuple[layers.Stack, dict[str, Any]]:
    """The stack and its parameters, numpy, of what a file of weights (`weights.read`) holds.

    prefix: what stands before torch's names in the file. Kind, width, depth and directions follow
    from the shapes. Raises ValueError, in one line, for what is none of torch's layers.
    """
    arrays = {
        name.removeprefix(prefix): x.astype(np.float32)
        for name, x in weights.read(path).items()
        if name.startswith(prefix)
    }
    if arrays and all(CELL.fullmatch(name) for name in arrays):
        arrays = {f"{name}_l0": x for name, x in arrays.items()}
    other = [name for name in arrays if not NAME.fullmatch(name)]
    if other or "weight_hh_l0" not in arrays:
        what = f"beside them {', '.join(other[:3])}" if other else "no weight_hh_l0 nor weight_hh"
        raise ValueError(f"{path}: no recurrent layer of torch under {prefix!r}: there is {what}")
    if broken := [name for name, x in arrays.items() if not np.isfinite(x).all()]:
        raise ValueError(f"{path}: {broken[0]} holds values that are not finite (NaN or infinity)")
    wide, features = (*arrays["weight_hh_l0"].shape, 0)[:2]
    gates = wide // features if features and wide % features == 0 else 0
    if gates not in CELLS:
        raise ValueError(f"{path}: weight_hh_l0 {(wide, features)} is neither LSTM nor GRU nor RNN")
    both = "weight_ih_l0_reverse" in arrays
    depth = sum(name.startswith("weight_ih") for name in arrays) // (1 + both)
    _check(path, arrays, gates, features, depth, both)
    params = layers.from_torch(arrays)
    stack = layers.Stack(features, depth, CELLS[gates], bidirectional=both)
    as_numpy = {layer: {k: np.asarray(x) for k, x in p.items()} for layer, p in params.items()}
    return stack, as_numpy


def to_torch(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The way back: parameters of a Stack under torch's names.

    torch has two biases where one will do: the second is zero but for a GRU's candidate.
    """
    arrays = {}
    for layer, values in params.items():
        direction, _, number = layer.partition("_")
        suffix = f"l{number}" + ("_reverse" if direction == "backward" else "")
        bias = np.asarray(values["bias"])
        second = np.zeros_like(bias)
        if "recurrent_bias" in values:
            second[-len(values["recurrent_bias"]) :] = values["recurrent_bias"]
        arrays[f"weight_ih_{suffix}"] = np.asarray(values["kernel"]).T
        arrays[f"weight_hh_{suffix}"] = np.asarray(values["recurrent"]).T
        arrays[f"bias_ih_{suffix}"], arrays[f"bias_hh_{suffix}"] = bias, second
    return arrays


def _check(path, arrays, gates: int, features: int, depth: int, both: bool) -> None:
    """That each layer has its weights, in the shapes that the first one implies."""
    wide, wrong = gates * features, []
    biased = "bias_ih_l0" in arrays
    for layer in range(depth):
        inputs = None if layer == 0 else features * (1 + both)
        for suffix in (f"l{layer}", f"l{layer}_reverse")[: 1 + both]:
            shapes = {
                f"weight_ih_{suffix}": (wide, inputs),
                f"weight_hh_{suffix}": (wide, features),
            }
            if biased:
                shapes |= {f"bias_ih_{suffix}": (wide,), f"bias_hh_{suffix}": (wide,)}
            for name, shape in shapes.items():
                shape_found = arrays[name].shape if name in arrays else ()
                fits = len(shape_found) == len(shape)
                if not fits or any(
                    b not in (None, a) for a, b in zip(shape_found, shape, strict=True)
                ):
                    wrong.append(name)
    if wrong:
        raise ValueError(f"{path}: missing or of wrong shape: {', '.join(wrong[:3])}")
