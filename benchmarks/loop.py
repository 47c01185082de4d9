"""What the shared loop costs: its rate against its own bare scan, and many seeds in one program.

    python -m benchmarks.loop [--workdir=DIR] [--repeats=5]

For LeNet on 28x28 images (batch 128) and on 8x8 images (batch 32), on random data, in one run,
interleaved:

- `train`: the whole of dljax.train.driver.train with reports, a progress bar and metrics.jsonl,
  wall time less what it compiled; against a bare jitted lax.scan of the same steps on the same
  data, and against a Python loop with one dispatch per step.
- seeds: 8 seeds in one program against 8 runs of one seed one after another, with the time to
  compile and without.

Prints the tables; --workdir gets summary.json with the ratios over the repetitions.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import contest
from dljax.cnn import classification
from dljax.data import feed
from dljax.nn.lenet import LeNet
from dljax.train import driver, loop, optim, report
from dljax.train.compilation import compiler_options
from dljax.train.parallel import place


class Case(NamedTuple):
    """A network, its image shape and batch, the steps of a timed stretch, how seeds are run."""

    name: str
    model: Any
    shape: tuple[int, int, int]
    batch: int
    steps: int
    seeds_by: str = "auto"


CASES = (
    Case("LeNet, batch 128", LeNet(10), (28, 28, 1), 128, 480),
    Case("LeNet on 8x8, batch 32, vmap", LeNet(10, padding="SAME"), (8, 8, 1), 32, 2400, "vmap"),
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal, so that the progress bar is drawn (and thrown away)."""

    def isatty(self) -> bool:
        return True


def make(case: Case) -> tuple[loop.Task, feed.Feed]:
    """The task on random images, the same for everybody."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4096, *case.shape), np.uint8)
    labels = random.integers(0, 10, 4096).astype(np.int32)
    tx = optim.optimizer("nesterov", 0.01)
    task = classification.task(case.model, tx, image_shape=case.shape, classes=10)
    return task, feed.in_memory({"image": images, "label": labels}, case.batch)


def timed(f: Callable[[], Any]) -> float:
    """Seconds of a call, to the end of what it started."""
    begin = time.perf_counter()
    jax.block_until_ready(f())
    return time.perf_counter() - begin


def loops(case: Case, repeats: int) -> dict[str, np.ndarray]:
    """Steps per second [repeats] of train, of the bare scan and of one dispatch per step."""
    task, data = make(case)
    key, steps = jax.random.key(0), case.steps
    arrays = jax.device_put(data.arrays)
    options = compiler_options(jax.devices()[0].platform)

    def one(state, index, arrays, i):
        return task.step(state, data.batch(arrays, index), jax.random.fold_in(key, i))

    def scan(state, indices, arrays):
        def body(state, numbered):
            return one(state, numbered[1], arrays, numbered[0])

        return jax.lax.scan(body, state, (jnp.arange(steps), indices))

    state = jax.jit(task.init)(key)
    indices = data.chunk(0, 0, steps)
    bare = jax.jit(scan, donate_argnums=0).lower(state, indices, arrays).compile(options)
    stepwise = jax.jit(one, donate_argnums=0).lower(state, indices[0], arrays, 0).compile(options)

    def fresh():
        return jax.block_until_ready(jax.jit(task.init)(key))

    def run_bare() -> float:
        state = fresh()
        return timed(lambda: bare(state, indices, arrays))

    def run_stepwise() -> float:
        state = fresh()

        def go():
            nonlocal state
            for i in range(steps):
                state, _ = stepwise(state, data.chunk(0, i, 1)[0], arrays, i)
            return state

        return timed(go)

    def run_train() -> float:
        with (
            tempfile.TemporaryDirectory() as folder,
            report.Report(folder, steps, stream=Terminal()) as told,
        ):
            begin = time.perf_counter()
            result = driver.train(
                task,
                data,
                steps=steps,
                placement=place("none"),
                report=told,
                steps_per_call=steps // 4,
            )
            jax.block_until_ready(result.run)
            return time.perf_counter() - begin - result.seconds["compile"]

    run_bare(), run_stepwise(), run_train()
    ways = {"train": run_train, "bare scan": run_bare, "one dispatch per step": run_stepwise}
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            seconds[name].append(way())
    return {name: steps / np.array(values) for name, values in seconds.items()}


def seeds(case: Case, count: int = 8) -> dict[str, float]:
    """Wall seconds of `count` seeds in one program and of as many runs one after another.

    Each with what it compiled ("with compile") and without ("apart").
    """
    task, data = make(case)

    def run(chosen: tuple[int, ...]) -> tuple[float, float]:
        begin = time.perf_counter()
        placement = place("none", seeds_by=case.seeds_by)
        result = driver.train(task, data, steps=case.steps // 4, seeds=chosen, placement=placement)
        whole = time.perf_counter() - begin
        return whole, whole - result.seconds["compile"]

    together = run(tuple(range(count)))
    alone = [run((seed,)) for seed in range(count)]
    return {
        "with compile": together[0] / sum(whole for whole, _ in alone),
        "compile apart": together[1] / sum(apart for _, apart in alone),
    }


def main() -> None:
    """Runs both for each case, prints the tables, writes summary.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workdir", type=Path, default=Path("runs/benchmark_loop"))
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    begin = time.perf_counter()
    metrics, rows = {}, []
    for case in CASES:
        rates = loops(case, args.repeats)
        for name, values in rates.items():
            share = values / rates["bare scan"]
            metrics[f"{case.name}: {name} / bare scan"] = share
            rows.append(
                (
                    case.name,
                    name,
                    f"{np.median(values):.1f}",
                    f"{np.median(share):.3f}",
                    f"{share.min():.3f} to {share.max():.3f}",
                )
            )
    print(contest.table(("case", "way", "steps/s, median", "of the bare scan", "spread"), rows))
    rows = []
    for case in CASES:
        ratios = [seeds(case) for _ in range(max(args.repeats // 2, 1))]
        for name in ratios[0]:
            values = np.array([r[name] for r in ratios])
            metrics[f"{case.name}: 8 seeds together / one after another, {name}"] = values
            rows.append(
                (
                    case.name,
                    name,
                    f"{np.median(values):.3f}",
                    f"{values.min():.3f} to {values.max():.3f}",
                )
            )
    print(
        contest.table(("8 seeds in one program / 8 runs", "", "wall time, median", "spread"), rows)
    )
    contest.finish("loop", args.workdir, {"repeats": args.repeats}, metrics, begin)
    print(f"{report.device_name()}; {report.versions()}")


if __name__ == "__main__":
    main()
