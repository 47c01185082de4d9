"""What a training step of a convolutional network costs: dljax, plain Flax and PyTorch eager.

    python -m benchmarks.steps [--workdir=DIR] [--repeats=9] [--only=NAME] [--parts] [--noplain]
    taskset -c 0 python -m benchmarks.steps --noplain --processor_time

One whole step, forward, backward and SGD with momentum, float32, in the loop's own scan: LeNet,
a small ResNet with BatchNorm and with GroupNorm, a small MobileNet, a small U-Net, from the same
weights and on the same batch as torch (contiguous and channels_last), and where there is a C++
compiler with `--convolution=native` as well ("dljax native"). The losses of three steps
must agree; then stretches of 10 steps are timed in turn. Plain Flax (nn.Conv, nn.max_pool,
nn.BatchNorm) in the same loop takes seconds a step on a CPU and is timed once. --parts also times
the forward pass alone, and forward with backward. --processor_time is for one core of a machine
that others use as well.

Prints a table, and what no program could beat: the step's floating-point operations at the rate of
a large matrix product. --workdir gets summary.json with the ratios over the repetitions.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax
import flax.linen as nn
import jax
import numpy as np

from benchmarks import contest
from dljax.data.sources.cache import user_cache
from dljax.nn import native
from dljax.nn.lenet import LeNet
from dljax.nn.mobilenet import MobileNet
from dljax.nn.normalization import GroupNorm
from dljax.nn.resnet import ResNet
from dljax.nn.unet import UNet
from dljax.train import native as native_build
from dljax.train import report

try:
    import torch
    import torch.nn.functional as F

    from benchmarks import twins
except ImportError:
    raise SystemExit("benchmarks.steps compares with PyTorch: pip install torch") from None


class Case(NamedTuple):
    """A network of ours, the same with Flax's layers, its torch twin, and the batch's shape."""

    name: str
    model: nn.Module
    plain: nn.Module
    twin: Callable[[Any], torch.nn.Module]
    shape: tuple[int, int, int, int]
    classes: int = 10

    def problem(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A random batch, and the network's first variables."""
        pixels = isinstance(self.model, UNet)
        return contest.problem(self.model, self.shape, self.classes, pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--repeats", type=int, default=9, help="timed stretches of each")
    parser.add_argument("--only", default="", help="the cases whose name holds this")
    parser.add_argument("--parts", action="store_true", help="forward and backward apart too")
    parser.add_argument("--noplain", action="store_true", help="leave plain Flax out")
    parser.add_argument(
        "--processor_time", action="store_true", help="time by the processor's clock, on one core"
    )
    flags = parser.parse_args()
    clock = time.perf_counter
    if flags.processor_time:
        if len(os.sched_getaffinity(0)) > 1:
            raise SystemExit("--processor_time adds up what all cores do: taskset -c 0 python ...")
        torch.set_num_threads(1)
        clock = time.process_time
    print(
        f"{report.device_name()}, {torch.get_num_threads()} threads; jax {jax.__version__}, ",
        end="",
    )
    print(f"flax {flax.__version__}, torch {torch.__version__}")
    begin, metrics, rate = time.perf_counter(), {}, contest.matrix_rate()
    for case in CASES:
        if flags.only not in case.name:
            continue
        for part in ("forward", "backward", "step") if flags.parts else ("step",):
            times = measure(case, part, flags.repeats, not flags.noplain, clock)
            peers = ("torch", "torch channels_last")
            ratios = contest.tell(f"{case.name}, {part}", times, peers)
            metrics[f"{case.name}, {part}: dljax / best of torch"] = ratios
            if NATIVE in times:
                best = min((times[name] for name in peers), key=np.median)
                metrics[f"{case.name}, {part}: {NATIVE} / best of torch"] = times[NATIVE] / best
        work = operations(case)
        print(f"  a step's {work:.2f} GFLOP at {rate:.0f} GFLOP/s: {1e3 * work / rate:.1f} ms")
    contest.finish("steps", flags.workdir, {"repeats": flags.repeats}, metrics, begin)


def operations(case: Case) -> float:
    """1e9 floating-point operations of a loss and its gradient, by Flax's own layers."""
    batch, variables = case.problem()
    loss = contest.loss_of(case.plain)

    def gradient(params):
        return jax.grad(lambda p: loss(p, variables.get("batch_stats", {}), batch)[0])(params)

    return contest.gigaflops(gradient, variables["params"])


def measure(
    case: Case, part: str, repeats: int, plain: bool, clock: Callable[[], float]
) -> dict[str, np.ndarray]:
    """Milliseconds a step of each contestant [repeats]; ValueError when losses disagree."""
    batch, variables = case.problem()
    params, stats = variables["params"], variables.get("batch_stats", {})
    contestants = {
        "dljax": contest.in_our_loop(contest.loss_of(case.model), params, stats, batch, part)[0]
    }
    try:
        library = native_build.library(user_cache("native"))
        steps = contest.in_our_loop(contest.loss_of(case.model), params, stats, batch, part)[0]
        contestants[NATIVE] = within(library, steps)
    except native_build.BuildError as error:
        print(f"no {NATIVE}: {error}")
    for name, layout in twins.LAYOUTS.items():
        contestants[name] = eager(case.twin(params), batch, layout, part)
    contest.check_equal(case.name, contestants)
    times = contest.interleaved(contestants, repeats, clock)
    if plain and part == "step":
        steps, program = contest.in_our_loop(contest.loss_of(case.plain), params, stats, batch)
        begin = time.perf_counter()
        steps(1)
        times["plain Flax"] = np.array([1e3 * (time.perf_counter() - begin - program.seconds)])
    return times


def within(library: str, steps: contest.Steps) -> contest.Steps:
    """Steps with native convolutions."""

    def inside(k: int) -> float:
        with native.library(library):
            return steps(k)

    return inside


def eager(net: torch.nn.Module, batch: Any, layout: Any, part: str) -> contest.Steps:
    """A contestant that steps in PyTorch."""
    images, labels = twins.pictures(batch["image"], layout), torch.tensor(batch["label"]).long()
    net = net.to(memory_format=layout)
    return twins.eager(net, lambda net: F.cross_entropy(net(images), labels), part)


def group_norm(use_running_average: bool, momentum: float, layer: Callable, **fields: Any) -> Any:
    """GroupNorm of eight groups, where a network asks for BatchNorm."""
    return layer(num_groups=8, **fields)


NATIVE = "dljax native"
SMALL = ResNet(10, stage_sizes=(1, 1, 1), widths=(16, 32, 64))
SEPARABLE = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1))
MOBILE = MobileNet(10, blocks=SEPARABLE, stem=16, small_images=True)
UNET = UNet(2, widths=(16, 32, 64))
FLAX = {"conv": nn.Conv, "norm": nn.BatchNorm}
CASES = (
    Case(
        "LeNet", LeNet(10), LeNet(10, conv=nn.Conv, pool=nn.max_pool), twins.lenet, (128, 28, 28, 1)
    ),
    Case(
        "small ResNet",
        SMALL,
        SMALL.clone(**FLAX),
        twins.resnet,
        (64, 32, 32, 3),
    ),
    Case(
        "small ResNet, GroupNorm",
        SMALL.clone(norm=lambda **fields: group_norm(layer=GroupNorm, **fields)),
        SMALL.clone(conv=nn.Conv, norm=lambda **fields: group_norm(layer=nn.GroupNorm, **fields)),
        lambda params: twins.resnet(params, groups=8),
        (64, 32, 32, 3),
    ),
    Case(
        "small MobileNet",
        MOBILE,
        MOBILE.clone(**FLAX),
        lambda params: twins.mobilenet(params, 16, SEPARABLE),
        (64, 32, 32, 3),
    ),
    Case(
        "small U-Net",
        UNET,
        UNET.clone(**FLAX, pool=nn.max_pool),
        lambda params: twins.UNet(params, 3, (16, 32, 64), 2),
        (8, 64, 64, 3),
        classes=2,
    ),
)

if __name__ == "__main__":
    main()
