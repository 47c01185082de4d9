"""What a training step costs as things grow: batch, width, length, seeds.

    python -m benchmarks.scaling [--workdir=runs/benchmark_scaling] [--repeats=3] [--devices=8]
    python -m benchmarks.scaling --weak

LeNet over the batch size, a small ResNet over its width, a GRU over the length of its sequences,
LeNet on 8x8 images over the number of seeds in one program (one after another, and side by side),
and a batch of 128 images or 8 seeds over the number of devices: on a CPU, 8 virtual devices on the
same cores, so that what they cost shows and no gain can. Each point is the median of stretches of
10 steps. Leaves summary.json and a plot in the workdir; with --devices nothing but that table.

--weak: 32 images a device on 1, 2, 4 and 8 virtual devices, by data and by fsdp, and what one step
sends: bytes of the arrays that go through each kind of collective. On the same cores n devices
need n times as long as one; the efficiency is what is left of that.
"""

from __future__ import annotations

import argparse
import collections
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import contest
from dljax import plots
from dljax.cnn.classification import classifier
from dljax.data import feed
from dljax.nn.dense import Dense
from dljax.nn.lenet import LeNet
from dljax.nn.recurrent.layers import GRU
from dljax.nn.resnet import ResNet
from dljax.train import optim, report


class Reader(nn.Module):
    """A GRU over the rows of an image [B, T, I, 1], and a linear classifier."""

    features: int

    @nn.compact
    def __call__(self, x, train=False):
        _, ys = GRU(self.features)(x[..., 0])
        return Dense(10, name="classifier")(ys[:, -1]).astype(jnp.float32)


class Sweep(NamedTuple):
    """What grows, by which numbers, and the step at each: number -> a function of k."""

    name: str
    grows: str
    numbers: tuple[int, ...]
    steps: Callable[[int], contest.Steps]


def stepper(
    model: nn.Module,
    shape: tuple[int, int, int],
    batch: int,
    seeds: int = 1,
    vectorize_seeds: str = "auto",
    parallel: str = "none",
) -> contest.Steps:
    """k steps of a classifier on random images in the shared loop."""
    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.integers(0, 256, (batch, *shape), np.uint8),
        "label": rng.integers(0, 10, batch).astype(np.int32),
    }
    tx = optim.optimizer("nesterov", 0.01)
    task = classifier.task(model, tx, image_shape=shape, classes=10)
    data = feed.in_memory(arrays, batch)
    return contest.in_turn(task, data, tuple(range(seeds)), vectorize_seeds, parallel)


SWEEPS = (
    Sweep(
        "LeNet, 28x28",
        "images in a batch",
        (16, 32, 64, 128, 256, 512),
        lambda n: stepper(LeNet(10), (28, 28, 1), n),
    ),
    Sweep(
        "small ResNet, 32x32, batch 32",
        "channels of the first stage",
        (8, 16, 32, 64),
        lambda n: stepper(ResNet(10, (1, 1, 1), (n, 2 * n, 4 * n)), (32, 32, 3), 32),
    ),
    Sweep(
        "GRU of 64, batch 64",
        "steps of a sequence",
        (16, 32, 64, 128, 256),
        lambda n: stepper(Reader(64), (n, 16, 1), 64),
    ),
    Sweep(
        "LeNet, 8x8, batch 32, seeds one after another",
        "seeds in a program",
        (1, 2, 4, 8),
        lambda n: stepper(LeNet(10, padding="SAME"), (8, 8, 1), 32, n, "off"),
    ),
    Sweep(
        "LeNet, 8x8, batch 32, seeds side by side",
        "seeds in a program",
        (1, 2, 4, 8),
        lambda n: stepper(LeNet(10, padding="SAME"), (8, 8, 1), 32, n, "on"),
    ),
)


def devices(repeats: int) -> dict[str, np.ndarray]:
    """Milliseconds a step [repeats] on one device and over all."""
    wide = {"batch of 128": (28, 128, 1, "data"), "8 seeds of 32": (28, 32, 8, "pmap")}
    times = {}
    for name, (side, batch, seeds, parallel) in wide.items():
        over = f"{name}, {parallel} over {jax.device_count()} devices"
        contestants = {
            f"{name}, one device": stepper(LeNet(10), (side, side, 1), batch, seeds),
            over: stepper(LeNet(10), (side, side, 1), batch, seeds, parallel=parallel),
        }
        for steps in contestants.values():
            steps(contest.STEPS)
        times |= contest.interleaved(contestants, repeats)
    return times


COLLECTIVES = re.compile(
    r"= (?P<arrays>.*?) (?P<name>all-gather|all-reduce|reduce-scatter|all-to-all|"
    r"collective-permute)(?:-start)?\("
)


def sent(program: str) -> dict[str, float]:
    """Megabytes of the results of each kind of collective in a step, from the compiled text."""
    found = collections.Counter()
    for match in COLLECTIVES.finditer(program):
        for bits, shape in re.findall(r"[a-z]+(\d+)\[([\d,]*)\]", match["arrays"]):
            sizes = [int(n) for n in shape.split(",") if n]
            found[match["name"]] += int(np.prod(sizes)) * int(bits) / 8e6
    return dict(found)


def weak(repeats: int) -> list[tuple[str, float, str]]:
    """What is trained, ms a step, megabytes sent; 32 images for each of the devices."""
    n, rows = jax.device_count(), []
    resnet = ResNet(10, (1, 1, 1), (16, 32, 64))
    for model, shape in ((LeNet(10), (28, 28, 1)), (resnet, (32, 32, 3))):
        for parallel in ("data", "fsdp") if n > 1 else ("none",):
            steps = stepper(model, shape, 32 * n, parallel=parallel)
            steps(contest.STEPS)
            name = f"{type(model).__name__}, {n} x 32 images, {parallel}"
            ms = np.median(contest.interleaved({name: steps}, repeats)[name])
            moved = sorted(sent(steps.program.text()).items())
            moved = ", ".join(f"{kind} {mb:.3f}" for kind, mb in moved)
            rows.append((name, ms, moved or "nothing"))
    return rows


def measure(sweep: Sweep, repeats: int) -> np.ndarray:
    """Milliseconds a step [numbers, repeats]."""
    contestants = {str(n): sweep.steps(n) for n in sweep.numbers}
    for steps in contestants.values():
        steps(contest.STEPS)
    times = contest.interleaved(contestants, repeats)
    return np.array([times[str(n)] for n in sweep.numbers])


def draw(results: Iterable[tuple[Sweep, np.ndarray]], path: Path) -> None:
    """A panel for each sweep: milliseconds a step, and the line of proportional cost."""
    results = list(results)
    figure = plots.canvas.figure(4.0 * len(results), 3.4)
    figure.suptitle(f"What a step costs as things grow; {report.device_name()}", fontsize=11)
    for axes, (sweep, ms) in zip(figure.subplots(1, len(results)), results, strict=True):
        numbers, middle = np.array(sweep.numbers), np.median(ms, axis=1)
        axes.fill_between(
            numbers, ms.min(1), ms.max(1), color=plots.canvas.MAIN, alpha=0.25, linewidth=0
        )
        axes.plot(numbers, middle, "o-", color=plots.canvas.MAIN, markersize=4, label="measured")
        axes.plot(numbers, middle[-1] * numbers / numbers[-1], ":", color="black", linewidth=1,
                  label="in proportion to the last")  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel=sweep.grows, ylabel="ms a step")
        axes.set_xticks(numbers, [str(n) for n in numbers], minor=False)
        axes.minorticks_off()
        axes.set_title(sweep.name, fontsize=9)
        axes.grid(alpha=0.3, linewidth=0.5)
    figure.axes[0].legend(fontsize=8)
    plots.canvas.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("runs/benchmark_scaling"))
    parser.add_argument("--repeats", type=int, default=3, help="timed stretches of each")
    parser.add_argument("--devices", type=int, help="tell of so many CPU devices, and no more")
    parser.add_argument("--weak", action="store_true", help="as many images for each device")
    flags = parser.parse_args()
    if flags.weak and not flags.devices:
        for n in (1, 2, 4, 8):
            words = ["-m", "benchmarks.scaling", "--weak", f"--devices={n}"]
            subprocess.run([sys.executable, *words, f"--repeats={flags.repeats}"], check=True)
        return
    if flags.devices:
        jax.config.update("jax_num_cpu_devices", flags.devices)
        if flags.weak:
            rows = [(name, f"{ms:.2f}", moved) for name, ms, moved in weak(flags.repeats)]
            print(contest.table(("network", "ms a step", "MB through each collective"), rows))
            return
        rows = [(n, f"{np.median(ms):.2f}") for n, ms in devices(flags.repeats).items()]
        print(contest.table(("LeNet", "ms a step"), rows))
        return
    # Virtual devices share out the threads, which slows down all that is measured beside them.
    words = ["-m", "benchmarks.scaling", "--devices=8", f"--repeats={flags.repeats}"]
    subprocess.run([sys.executable, *words], check=True)
    begin, metrics, results = time.perf_counter(), {}, []
    for sweep in SWEEPS:
        ms = measure(sweep, flags.repeats)
        results.append((sweep, ms))
        rows: list[tuple[Any, ...]] = []
        for n, values in zip(sweep.numbers, ms, strict=True):
            rows.append((str(n), f"{np.median(values):.2f}", f"{np.median(values) / n:.4f}"))
        print(contest.table((f"{sweep.name}: {sweep.grows}", "ms a step", "ms each"), rows))
        metrics[
            f"{sweep.name}: cost of {sweep.grows} x {sweep.numbers[-1] // sweep.numbers[0]}"
        ] = ms[-1] / ms[0]
    draw(results, flags.workdir / "plots" / "scaling.png")
    contest.finish("scaling", flags.workdir, {"repeats": flags.repeats}, metrics, begin)
    print(f"{report.device_name()}; {report.versions()}; {flags.workdir}/plots/scaling.png")


if __name__ == "__main__":
    main()
