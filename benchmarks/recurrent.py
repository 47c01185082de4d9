"""What a training step of a recurrent layer costs: dljax, Flax's nn.RNN and PyTorch eager.

    python -m benchmarks.recurrent [--workdir=DIR] [--repeats=9] [--only=LSTM] [--parts] [--noplain]

RNN, LSTM and GRU over whole sequences, the mean squared error of all outputs against random
targets, SGD with momentum, float32, ours and Flax's in the loop's own scan. All start from the same
weights and see the same batch; the losses of three steps must agree; then stretches of 10 steps are
timed in turn. --parts also times the forward pass alone, and forward with backward.

Prints a table; --workdir gets summary.json with the ratios over the repetitions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import contest
from dljax.nn.recurrent import layers
from dljax.train import report

try:
    import torch

    from benchmarks import twins
except ImportError:
    torch = None  # benchmarks.gpu, which imports this, runs without


class Size(NamedTuple):
    """A batch of sequences and the units of the layer that reads them."""

    batch: int
    time: int
    inputs: int
    features: int


SIZES = (Size(128, 24, 8, 64), Size(64, 96, 32, 128), Size(64, 200, 2, 64), Size(32, 96, 64, 256))
LAYERS = {
    "RNN": (layers.RNN, nn.SimpleCell),
    "LSTM": (layers.LSTM, nn.OptimizedLSTMCell),
    "GRU": (layers.GRU, nn.GRUCell),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--repeats", type=int, default=9, help="timed stretches of each")
    parser.add_argument("--only", default="", help="the cases whose name holds this")
    parser.add_argument("--parts", action="store_true", help="forward and backward apart too")
    parser.add_argument("--noplain", action="store_true", help="leave Flax out")
    flags = parser.parse_args()
    if torch is None:
        raise SystemExit("benchmarks.recurrent compares with PyTorch: pip install torch")
    versions = f"jax {jax.__version__}, flax {flax.__version__}, torch {torch.__version__}"
    print(f"{report.device_name()}, {torch.get_num_threads()} threads; {versions}")
    begin, metrics = time.perf_counter(), {}
    for layer in LAYERS:
        for size in SIZES:
            name = f"{layer} {size.batch}x{size.time}x{size.inputs}, {size.features} units"
            if flags.only not in name:
                continue
            for part in ("forward", "backward", "step") if flags.parts else ("step",):
                times = measure(name, layer, size, part, flags.repeats, not flags.noplain)
                ratios = contest.tell(f"{name}, {part}", times, ("torch",))
                metrics[f"{name}, {part}: dljax / torch"] = ratios
    contest.finish("recurrent", flags.workdir, {"repeats": flags.repeats}, metrics, begin)


def measure(
    name: str, layer: str, size: Size, part: str, repeats: int, plain: bool
) -> dict[str, np.ndarray]:
    """Milliseconds a step of each contestant [repeats]; ValueError when losses disagree."""
    batch = problem(size)
    net, params = twin(layer, size)
    ours, theirs = LAYERS[layer]
    model, flaxs = ours(size.features), nn.RNN(theirs(size.features))

    def in_our_loop(outputs, params):
        return contest.in_our_loop(squared_error(outputs), params, {}, batch, part)[0]

    contestants = {
        "dljax": in_our_loop(lambda *args: model.apply(*args)[1], params),
        "torch": eager(net, batch, part),
    }
    if plain:
        contestants["Flax"] = in_our_loop(flaxs.apply, {"cell": for_flax(params, layer)})
    contest.check_equal(name, contestants)
    return contest.interleaved(contestants, repeats)


def problem(size: Size) -> dict[str, np.ndarray]:
    """Random sequences x [B, T, I], and targets y [B, T, F] of all outputs."""
    rng = np.random.default_rng(0)
    shapes = {"x": size[:3], "y": (*size[:2], size.features)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def squared_error(outputs: Callable) -> Callable:
    """(params, stats, batch) -> (mean squared error, stats) of (variables, x) -> outputs."""

    def mean(params, stats, batch):
        return jnp.mean((outputs({"params": params}, batch["x"]) - batch["y"]) ** 2), stats

    return mean


def twin(layer: str, size: Size) -> tuple[torch.nn.Module, Any]:
    """A layer in PyTorch, and the parameters of ours that equal its own."""
    net = getattr(torch.nn, layer)(size.inputs, size.features, batch_first=True)
    state = {key: value.detach().numpy().copy() for key, value in net.state_dict().items()}
    return net, layers.from_torch(state)["forward_0"]


def for_flax(params: Any, layer: str) -> dict[str, Any]:
    """Parameters of ours as those of Flax's cell, which names each gate."""
    gates = {"RNN": "", "LSTM": "ifgo", "GRU": "rzn"}[layer]
    names, count = list(gates) or [""], len(gates) or 1
    kernels = jnp.split(params["kernel"], count, axis=1)
    recurrents = jnp.split(params["recurrent"], count, axis=1)
    biases = jnp.split(params["bias"], count)
    cell = {}
    for name, kernel, matrix, bias in zip(names, kernels, recurrents, biases, strict=True):
        cell[f"i{name}"], cell[f"h{name}"] = {"kernel": kernel}, {"kernel": matrix}
        cell[f"h{name}" if layer == "LSTM" else f"i{name}"]["bias"] = bias
    if layer == "GRU":
        cell["hn"]["bias"] = params["recurrent_bias"]
    return cell


def eager(
    net: torch.nn.Module,
    batch: dict[str, np.ndarray],
    part: str = "step",
    call: Callable | None = None,
) -> contest.Steps:
    """A contestant that steps in PyTorch; of its two equal biases it trains one, as we do.

    call: computes net in its place.
    """
    x, y = (torch.tensor(batch[name], device=net.weight_ih_l0.device) for name in ("x", "y"))
    if not isinstance(net, torch.nn.GRU):
        net.bias_ih_l0.data += net.bias_hh_l0.data
        net.bias_hh_l0.data.zero_()
        net.bias_hh_l0.requires_grad_(False)
    return twins.eager(net, lambda net: torch.mean((net(x)[0] - y) ** 2), part, call)


if __name__ == "__main__":
    main()
