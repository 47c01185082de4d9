"""What the benchmarks of training steps share: contestants that make steps, timed in turn.

A contestant is a function of k that makes k steps and returns their loss (of all steps the mean, or
of the last one). Each starts from the same weights and sees the same batch; the losses of the first
steps must agree before anything is timed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dljax.data import feed
from dljax.train import loop, report
from dljax.train.compilation import Program
from dljax.train.parallel import place

RATE, MOMENTUM, STEPS = 0.01, 0.9, 10
UNTIMED = 3  # steps before a timed stretch
Steps = Callable[[int], float]


def loss_of(model: nn.Module) -> Callable:
    """(params, stats, batch) -> (mean cross-entropy, new stats) of a network in training."""

    def loss(params, stats, batch):
        logits, new = model.apply(
            {"params": params, "batch_stats": stats},
            batch["image"],
            train=True,
            mutable=["batch_stats"],
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        return losses.mean(), new.get("batch_stats", {})

    return loss


def problem(
    model: nn.Module, shape: Sequence[int], classes: int, pixels: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A random batch with a label of each image, or pixel, and a network's first variables."""
    rng = np.random.default_rng(0)
    size = shape[:-1] if pixels else shape[:1]
    batch = {
        "image": rng.normal(size=shape).astype(np.float32),
        "label": rng.integers(0, classes, size).astype(np.int32),
    }
    return batch, dict(jax.jit(model.init)(jax.random.key(0), batch["image"][:1]))


def in_our_loop(
    loss: Callable[[Any, Any, Any], tuple[jax.Array, Any]],
    params: Any,
    stats: Any,
    batch: dict[str, np.ndarray],
    part: str = "step",
) -> tuple[Steps, Program]:
    """A contestant that steps in the shared loop by SGD with momentum, and its program.

    loss: (params, stats, batch) -> (scalar, new stats). part: "forward" computes the loss alone,
    "backward" its gradient too, "step" the whole; the first two leave the weights as they are.
    """
    tx = optax.sgd(RATE, MOMENTUM)

    def step(state, batch, key):
        params, stats, opt_state, last = state
        # No step may be moved out of the loop, so each depends on the one before.
        again = jax.tree.map(lambda x: x + 0 * last, params) if part != "step" else params
        if part == "forward":
            value, _ = loss(again, stats, batch)
        else:
            gradient = jax.value_and_grad(loss, has_aux=True)
            (value, new), gradient = gradient(again, stats, batch)
        last = value
        if part == "backward":
            last = sum(jnp.sum(leaf[..., :1]) for leaf in jax.tree.leaves(gradient))
        if part == "step":
            updates, opt_state = tx.update(gradient, opt_state)
            params, stats = optax.apply_updates(params, updates), new
        return (params, stats, opt_state, last), {"loss": (value, jnp.ones(()))}

    def init(key, params, stats):
        return params, stats, tx.init(params), jnp.zeros(())

    task = loop.Task(init, step, evaluate=None)
    placement = place("none")
    size = len(jax.tree.leaves(batch)[0])
    advance = loop.advance(task, feed.in_memory(batch, size), placement, STEPS)
    items = {k: advance.prepare([0], 0, k) for k in (1, UNTIMED, STEPS)}
    run = loop.start(task, [0], placement, jax.tree.map(lambda x: x[None], (params, stats)))

    def steps(k: int) -> float:
        nonlocal run
        run, sums, _ = advance(run, items[k], k)
        total, count = sums["loss"]
        return float(total[0] / count[0])

    return steps, advance.program


def in_turn(
    task: loop.Task,
    data: feed.Feed,
    seeds: Sequence[int] = (0,),
    vectorize_seeds: str = "auto",
    parallel: str = "none",
) -> Steps:
    """A contestant that makes STEPS steps of a task, and has the next items made meanwhile."""
    placement = place(parallel, num_seeds=len(seeds), vectorize_seeds=vectorize_seeds)
    advance = loop.advance(task, data, placement, STEPS)
    run, step = loop.start(task, seeds, placement), 0
    items = advance.prepare(seeds, step, STEPS)

    def steps(k: int) -> float:
        nonlocal run, step, items
        run, sums, _ = advance(run, items, k)
        step += k
        items = advance.prepare(seeds, step, STEPS)
        total, count = sums["loss"]
        return float(total[0] / count[0])

    steps.program = advance.program
    return steps


def gigaflops(f: Callable, *args: Any) -> float:
    """1e9 floating-point operations in a call of f, counted before the compiler changes it."""
    return jax.jit(f).lower(*args).cost_analysis()["flops"] / 1e9


def matrix_rate(dtype: Any = jnp.float32, size: int = 0) -> float:
    """1e9 floating-point operations a second of a square matrix product: what the device can do.

    The best of some; size: 2048 on a CPU, 8192 elsewhere.
    """
    size = size or (2048 if jax.devices()[0].platform == "cpu" else 8192)
    a = jax.random.normal(jax.random.key(0), (size, size)).astype(dtype)  # ones would be faster
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    seconds = []
    for _ in range(8):
        begin = time.perf_counter()
        product(a).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return 2e-9 * size**3 / min(seconds)


def check_equal(name: str, contestants: dict[str, Steps], count: int = 3) -> None:
    """Makes `count` steps by each; ValueError unless all have the losses of the first."""
    losses = {who: [steps(1) for _ in range(count)] for who, steps in contestants.items()}
    check_losses(name, losses)


def check_losses(name: str, losses: dict[str, Sequence[float]], rtol: float = 2e-3) -> None:
    """ValueError unless all have the losses of the first, up to a share of rtol."""
    first = next(iter(losses.values()))
    for who, loss in losses.items():
        if not np.allclose(loss, first, rtol=rtol):
            raise ValueError(f"{name}: {who} has other losses than the others: {losses}")


def interleaved(
    contestants: dict[str, Steps], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, np.ndarray]:
    """Milliseconds a step [repeats] of each, in stretches of STEPS steps, A B C A B C ...

    Before a stretch some steps are not timed: right after PyTorch, whose threads still wait for
    work, those of JAX are about 14 % slower.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, steps in contestants.items():
            steps(UNTIMED)
            begin = clock()
            steps(STEPS)
            times[name].append(1e3 * (clock() - begin) / STEPS)
    return {name: np.array(ms) for name, ms in times.items()}


def tell(title: str, times: dict[str, np.ndarray], peers: Sequence[str]) -> np.ndarray:
    """Prints a table; returns the ratios [repeats] of "dljax" to the fastest of the peers.

    A ratio is that of two stretches side by side in time.
    """
    best = min(peers, key=lambda name: np.median(times[name]))
    print(f"\n{title}: ms a step, median (min to max), and against {best}: of medians, of minima")
    for name, ms in times.items():
        ratio, least = np.median(ms) / np.median(times[best]), min(ms) / min(times[best])
        spread = f"({min(ms):.1f} to {max(ms):.1f})"
        print(f"  {name:20} {np.median(ms):8.1f} {spread:18} {ratio:6.2f} {least:6.2f}")
    for name in (name for name in times if name.startswith("dljax")):
        middle = np.median(times[name] / times[best])
        print(f"  {name} / {best}, of stretches side by side: median {middle:.2f}")
    return times["dljax"] / times[best]


def used(words: Sequence[str], cwd: Path | None = None, **settings: str) -> Any:
    """The resource.struct_rusage of `python WORDS`; SystemExit where it fails.

    settings: of its environment. Its ru_maxrss is never below what this process held at the start.
    """
    process = subprocess.Popen(
        [sys.executable, *words], cwd=cwd, env=os.environ | settings, stdout=subprocess.DEVNULL
    )
    with ended_with_this(process):
        _, status, resources = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"python {' '.join(words)} failed")
    return resources


@contextlib.contextmanager
def ended_with_this(process: subprocess.Popen) -> Iterator[None]:
    """Ends the process where the block is left early, by an error, Ctrl-C or SIGTERM."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def finish(
    name: str,
    workdir: Path | None,
    config: dict,
    metrics: dict[str, Any],
    begin: float,
    **more: Any,
) -> None:
    """Writes summary.json, from which the ledger takes its entries; more: further ones of it."""
    report.summary(
        workdir,
        experiment=f"benchmarks.{name}",
        config=config,
        dataset="random",
        steps=0,
        seconds={"all": time.perf_counter() - begin},
        steps_per_second=0.0,
        metrics=metrics,
        **more,
    )


def spread(values: np.ndarray, digits: int = 3) -> tuple[str, str]:
    """Median; minimum to maximum."""
    low, middle, high = (f"{q:.{digits}f}" for q in np.quantile(values, (0, 0.5, 1)))
    return middle, f"{low} to {high}"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
