"""Where a step's time goes: each convolution of the benchmarks' networks, ours against PyTorch's.

    python -m benchmarks.layers [--workdir=DIR] [--repeats=5]

The forward pass and the two gradients of single convolutions, ours in a compiled loop of 20 (as
they run in training), PyTorch's eager in the better of its two memory layouts, after their results
have been found equal. Beside them the rate in GFLOP/s, of which no more than the rate of a large
matrix product can be reached, and what that would take. Prints a table; --workdir gets summary.json
with the ratios of the summed times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import contest
from dljax.nn.convolution import conv
from dljax.train import report
from dljax.train.compilation import compiler_options

try:
    import torch
except ImportError:
    raise SystemExit("benchmarks.layers compares with PyTorch: pip install torch") from None


class Layer(NamedTuple):
    """A convolution of images [batch, side, side, inputs]."""

    network: str
    batch: int
    side: int
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    pad: int = 1

    def __str__(self) -> str:
        size = f"{self.batch}x{self.side}x{self.side}x{self.inputs}"
        return f"{size} to {self.outputs}, {self.kernel}x{self.kernel}, stride {self.stride}"


LAYERS = (
    Layer("LeNet", 128, 28, 1, 6, kernel=5, pad=2),
    Layer("LeNet", 128, 14, 6, 16, kernel=5, pad=0),
    Layer("small ResNet", 64, 32, 3, 16),
    Layer("small ResNet", 64, 32, 16, 16),
    Layer("small ResNet", 64, 32, 16, 32, stride=2),
    Layer("small ResNet", 64, 16, 32, 32),
    Layer("small ResNet", 64, 16, 32, 64, stride=2),
    Layer("small ResNet", 64, 8, 64, 64),
    Layer("small U-Net", 8, 64, 16, 16),
    Layer("small U-Net", 8, 64, 32, 16),
)
LOOP = 20
PARTS = ("forward", "gradient of the images", "gradient of the kernel")


def ours(layer: Layer, x: np.ndarray, w: np.ndarray, g: np.ndarray) -> dict[str, Callable]:
    """The parts as functions of nothing that make LOOP of each and give back the last one."""

    def y(x, w):
        return conv(x, w, strides=layer.stride, padding=layer.pad)

    def looped(f: Callable[[Any], Any], changed: jax.Array) -> Callable[[], Any]:
        # Each depends on the one before by a factor of 1, so that none is moved out of the loop.
        def body(_, carry):
            out = f(changed * (1 + carry[0]))
            return out.ravel()[0] * 1e-30, out

        shape = jax.eval_shape(f, changed)
        start = (jnp.float32(0), jnp.zeros(shape.shape, shape.dtype))
        many = jax.jit(lambda: jax.lax.fori_loop(0, LOOP, body, start)[1])
        program = many.lower().compile(compiler_options("cpu"))
        return lambda: jax.block_until_ready(program())

    x, w, g = map(jnp.asarray, (x, w, g))
    return {
        PARTS[0]: looped(lambda w: y(x, w), w),
        PARTS[1]: looped(lambda w: jax.vjp(lambda x: y(x, w), x)[1](g)[0], w),
        PARTS[2]: looped(lambda x: jax.vjp(lambda w: y(x, w), w)[1](g)[0], x),
    }


def eager(layer: Layer, x: Any, w: Any, g: Any, layout: Any) -> dict[str, Callable]:
    """The same by PyTorch."""
    x, w, g = (torch.tensor(a).permute(p) for a, p in ((x, NCHW), (w, OIHW), (g, NCHW)))
    x, w, g = (a.contiguous(memory_format=layout) for a in (x, w, g))
    pads, strides = [layer.pad] * 2, [layer.stride] * 2

    def gradient(which: int) -> torch.Tensor:
        mask = [which == i for i in range(3)]
        settings = (strides, pads, [1, 1], False, [0, 0], 1, mask)
        return torch.ops.aten.convolution_backward(g, x, w, None, *settings)[which]

    def looped(f: Callable[[], torch.Tensor], back: tuple) -> Callable[[], np.ndarray]:
        return lambda: [f() for _ in range(LOOP)][-1].permute(back).numpy()

    return {
        PARTS[0]: looped(lambda: torch.conv2d(x, w, None, strides, pads), NHWC),
        PARTS[1]: looped(lambda: gradient(0), NHWC),
        PARTS[2]: looped(lambda: gradient(1), HWIO),
    }


NCHW, OIHW, NHWC, HWIO = (0, 3, 1, 2), (3, 2, 0, 1), (0, 2, 3, 1), (2, 3, 1, 0)
LAYOUTS = {"torch": torch.contiguous_format, "torch channels_last": torch.channels_last}


def measure(layer: Layer, repeats: int) -> tuple[float, dict[str, dict[str, np.ndarray]]]:
    """1e9 operations of a part; milliseconds [repeats] of each part, by each contestant."""
    side = (layer.side + 2 * layer.pad - layer.kernel) // layer.stride + 1
    window = (layer.kernel, layer.kernel, layer.inputs, layer.outputs)
    rng = np.random.default_rng(0)
    shapes = (layer.batch, layer.side, layer.side, layer.inputs), window
    x, w, g = (
        rng.normal(size=shape).astype(np.float32)
        for shape in (*shapes, (layer.batch, side, side, layer.outputs))
    )
    ways = {"dljax": ours(layer, x, w, g)}
    ways |= {name: eager(layer, x, w, g, layout) for name, layout in LAYOUTS.items()}
    times = {part: {name: [] for name in ways} for part in PARTS}
    for part in PARTS:
        first = np.asarray(ways["dljax"][part]())
        for way in ways.values():
            found = np.asarray(way[part]())
            np.testing.assert_allclose(found, first, rtol=1e-3, atol=1e-3 * np.abs(first).max())
    for _ in range(repeats):
        for part, taken in times.items():
            for name, way in ways.items():
                begin = time.perf_counter()
                way[part]()
                taken[name].append(1e3 * (time.perf_counter() - begin) / LOOP)
    work = 2e-9 * layer.batch * side**2 * np.prod(window)
    return work, {p: {n: np.array(ms) for n, ms in t.items()} for p, t in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--repeats", type=int, default=5, help="timed stretches of each")
    flags = parser.parse_args()
    begin, rows, sums = time.perf_counter(), [], {}
    rate = contest.matrix_rate()
    for layer in LAYERS:
        work, times = measure(layer, flags.repeats)
        for part, ms in times.items():
            if part == PARTS[1] and layer.inputs in (1, 3):
                continue  # no network asks for it
            mine, best = ms["dljax"], min((ms[name] for name in LAYOUTS), key=np.median)
            total = sums.setdefault(layer.network, [0.0, 0.0])
            total[0], total[1] = total[0] + mine, total[1] + best
            middle = np.median(mine)
            row = (f"{middle:.2f}", f"{np.median(best):.2f}", f"{np.median(mine / best):.2f}")
            limits = (f"{1e3 * work / middle:.0f}", f"{1e3 * work / rate:.2f}")
            rows.append((str(layer), part, *row, *limits))
    head = ("convolution", "part", "dljax, ms", "torch, ms", "ratio", "GFLOP/s", "limit, ms")
    print(contest.table(head, rows))
    metrics = {f"{name}'s convolutions: dljax / torch": a / b for name, (a, b) in sums.items()}
    for name, ratio in metrics.items():
        print(f"{name}: {np.median(ratio):.2f}")
    contest.finish("layers", flags.workdir, {"repeats": flags.repeats}, metrics, begin)
    print(f"matrix product: {rate:.0f} GFLOP/s; {report.device_name()}; {report.versions()}")


if __name__ == "__main__":
    main()
