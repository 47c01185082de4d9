"""What a training step costs: dljax in its own loop, plain Flax in the same loop, PyTorch eager.

    python -m benchmarks.steps [--workdir=DIR] [--repeats=9]

One whole step, forward, backward and SGD with momentum, float32, from the same weights and on the
same batch, for LeNet (batch 128, 28x28) and a small ResNet (batch 64, 32x32, three blocks of 16, 32
and 64 channels, BatchNorm). The losses of three steps must agree. Then stretches of 10 steps are
timed in turn, ours, torch, torch with channels_last; plain Flax (nn.Conv, nn.max_pool,
nn.BatchNorm) takes seconds a step on a CPU and is timed once.

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
import optax

from dljax.data import feed
from dljax.nn.lenet import LeNet
from dljax.nn.resnet import ResNet
from dljax.train import loop, report
from dljax.train.parallel import place

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    raise SystemExit("benchmarks.steps compares with PyTorch: pip install torch") from None

RATE, MOMENTUM, STEPS = 0.01, 0.9, 10


class Case(NamedTuple):
    """A network of ours, the same with Flax's layers, its torch twin, and the batch's shape."""

    name: str
    model: nn.Module
    plain: nn.Module
    twin: Callable[[Any], torch.nn.Module]
    shape: tuple[int, int, int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--repeats", type=int, default=9, help="timed stretches of each")
    flags = parser.parse_args()
    print(
        f"{report.device_name()}, {torch.get_num_threads()} threads; jax {jax.__version__}, ",
        end="",
    )
    print(f"flax {flax.__version__}, torch {torch.__version__}")
    start, metrics = time.perf_counter(), {}
    for case in CASES:
        times = measure(case, flags.repeats)
        best = min("torch", "torch channels_last", key=lambda name: np.median(times[name]))
        print(f"\n{case.name}: ms a step, median (min to max), against {best}")
        for name, ms in times.items():
            ratio = np.median(ms) / np.median(times[best])
            print(f"  {name:20} {np.median(ms):8.1f} ({min(ms):.1f} to {max(ms):.1f}) {ratio:8.2f}")
        ratios = times["dljax"] / times[best]  # of neighbours in time
        print(f"  dljax / {best}, of stretches side by side: median {np.median(ratios):.2f}")
        metrics[f"{case.name}: dljax / best of torch"] = ratios
    report.summary(
        flags.workdir,
        experiment="benchmarks.steps",
        config={"repeats": flags.repeats},
        dataset="random",
        steps=0,
        seconds={"all": time.perf_counter() - start},
        steps_per_second=0.0,
        metrics=metrics,
    )


def measure(case: Case, repeats: int) -> dict[str, np.ndarray]:
    """Milliseconds a step of each contestant [repeats]; ValueError when losses disagree."""
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.normal(size=case.shape).astype(np.float32),
        "label": rng.integers(0, 10, case.shape[0]).astype(np.int32),
    }
    variables = case.model.init(jax.random.key(0), batch["image"][:1])
    ours, _ = in_our_loop(case.model, variables, batch)
    theirs = {
        "torch": eager(case.twin(variables), batch, torch.contiguous_format),
        "torch channels_last": eager(case.twin(variables), batch, torch.channels_last),
    }
    losses = {name: [f(1) for _ in range(3)] for name, f in {"dljax": ours, **theirs}.items()}
    plain, program = in_our_loop(case.plain, variables, batch)
    begin = time.perf_counter()
    losses["plain Flax"] = [plain(1)]
    plain_ms = 1e3 * (time.perf_counter() - begin - program.seconds)
    for name, loss in losses.items():
        if not np.allclose(loss, losses["dljax"][: len(loss)], rtol=2e-3):
            raise ValueError(f"{case.name}: {name} has other losses than dljax: {losses}")
    times: dict[str, list[float]] = {"dljax": [], **{name: [] for name in theirs}}
    for _ in range(repeats):
        for name, f in {"dljax": ours, **theirs}.items():
            begin = time.perf_counter()
            f(STEPS)
            times[name].append(1e3 * (time.perf_counter() - begin) / STEPS)
    return {name: np.array(ms) for name, ms in times.items()} | {"plain Flax": np.array([plain_ms])}


def in_our_loop(
    model: nn.Module, variables: Any, batch: Any
) -> tuple[Callable[[int], float], loop.Program]:
    """A function of k that makes k steps in the shared loop and returns their mean loss."""
    tx = optax.sgd(RATE, MOMENTUM)
    params, stats = variables["params"], variables.get("batch_stats", {})

    def step(state, batch, key):
        params, stats, opt_state = state

        def loss(params):
            logits, new = model.apply(
                {"params": params, "batch_stats": stats},
                batch["image"],
                train=True,
                mutable=["batch_stats"],
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
            return losses.mean(), new.get("batch_stats", {})

        (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = tx.update(gradient, opt_state)
        state = (optax.apply_updates(params, updates), stats, opt_state)
        return state, {"loss": (value, jnp.ones(()))}

    task = loop.Task(lambda key: (params, stats, tx.init(params)), step, evaluate=None)
    placement = place("none")
    advance = loop.advance(task, feed.in_memory(batch, len(batch["label"])), placement, STEPS)
    items = {k: advance.prepare([0], 0, k) for k in (1, STEPS)}
    run = loop.start(task, [0], placement)

    def steps(k: int) -> float:
        nonlocal run
        run, sums, _ = advance(run, items[k], k)
        total, count = sums["loss"]
        return float(total[0] / count[0])

    return steps, advance.program


def eager(net: torch.nn.Module, batch: Any, layout: Any) -> Callable[[int], float]:
    """A function of k that makes k steps in PyTorch and returns the last one's loss."""
    net = net.to(memory_format=layout)
    images = torch.tensor(batch["image"]).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    labels = torch.tensor(batch["label"]).long()
    tx = torch.optim.SGD(net.parameters(), RATE, MOMENTUM)

    def steps(k: int) -> float:
        for _ in range(k):
            tx.zero_grad()
            loss = F.cross_entropy(net(images), labels)
            loss.backward()
            tx.step()
        return loss.item()

    return steps


class Block(torch.nn.Module):
    """The twin of resnet.BasicBlock."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm1 = torch.nn.BatchNorm2d(width)
        self.conv2 = torch.nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = torch.nn.BatchNorm2d(width)
        torch.nn.init.zeros_(self.norm2.weight)
        self.shortcut = torch.nn.Identity()
        if inputs != width or stride != 1:
            self.shortcut = torch.nn.Sequential(
                torch.nn.Conv2d(inputs, width, 1, stride, bias=False), torch.nn.BatchNorm2d(width)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.shortcut(x) + self.norm2(self.conv2(y)))


class Flatten(torch.nn.Module):
    """[N, C, H, W] to [N, H W C], in the order of NHWC."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def torch_lenet(variables: Any) -> torch.nn.Module:
    t = torch.nn
    net = t.Sequential(
        *(t.Conv2d(1, 6, 5, padding=2), t.ReLU(), t.MaxPool2d(2)),
        *(t.Conv2d(6, 16, 5), t.ReLU(), t.MaxPool2d(2), Flatten()),
        *(t.Linear(400, 120), t.ReLU(), t.Linear(120, 84), t.ReLU(), t.Linear(84, 10)),
    )
    names = ["Conv_0", "Conv_1", "Dense_0", "Dense_1", "classifier"]
    copy(variables["params"], {names.pop(0): m for m in net if hasattr(m, "weight")})
    return net


def torch_resnet(variables: Any) -> torch.nn.Module:
    t = torch.nn
    blocks = {f"stage{i + 1}_block1": Block(*b) for i, b in enumerate(BLOCKS)}
    net = t.Sequential(
        *(t.Conv2d(3, 16, 3, 1, 1, bias=False), t.BatchNorm2d(16), t.ReLU(), *blocks.values()),
        *(t.AdaptiveAvgPool2d(1), t.Flatten(), t.Linear(64, 10)),
    )
    params = variables["params"]
    copy(params, {"stem": net[0], "classifier": net[-1]})
    for name, block in blocks.items():
        modules = {"Conv_0": block.conv1, "Conv_1": block.conv2}
        if "shortcut" in params[name]:
            modules["shortcut"] = block.shortcut[0]
        copy(params[name], modules)
    return net


def copy(params: Any, modules: dict[str, torch.nn.Module]) -> None:
    """Kernels and biases of ours into torch's modules."""
    for name, module in modules.items():
        kernel = torch.tensor(np.array(params[name]["kernel"]))
        module.weight.data = kernel.permute(*((3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)))
        module.weight.data = module.weight.data.contiguous()
        if "bias" in params[name]:
            module.bias.data = torch.tensor(np.array(params[name]["bias"]))


BLOCKS = ((16, 16, 1), (16, 32, 2), (32, 64, 2))  # inputs, width, stride
SMALL = ResNet(10, stage_sizes=(1, 1, 1), widths=(16, 32, 64))
CASES = (
    Case(
        "LeNet",
        LeNet(10),
        LeNet(10, conv=nn.Conv, pool=nn.max_pool),
        torch_lenet,
        (128, 28, 28, 1),
    ),
    Case(
        "small ResNet",
        SMALL,
        SMALL.clone(conv=nn.Conv, norm=nn.BatchNorm),
        torch_resnet,
        (64, 32, 32, 3),
    ),
)

if __name__ == "__main__":
    main()
