"""What the shared loop costs: its rate against its own bare scan, and many seeds in one program.

    python -m benchmarks.loop [--workdir=DIR] [--repeats=5]

For LeNet on 28x28 images (batch 128) and on 8x8 images (batch 32), on random data, in one run,
interleaved:

- `train`: the whole of dljax.train.driver.train with reports, a progress bar and metrics.jsonl,
  wall time less what it compiled; the same without reports, and with four checkpoints too; against
  a bare jitted lax.scan of the same steps on the same data, and a Python loop with one dispatch
  per step.
- steps per dispatch: the number that the driver chooses against others.
- seeds: 1, 2, 4 and 8 in one program against as many runs of one seed, with the time to compile
  and without; and the memory that they take.

Prints the tables; --workdir gets summary.json with the ratios over the repetitions.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from benchmarks import contest
from dljax.cnn.classification import classifier
from dljax.data import feed
from dljax.nn.lenet import LeNet
from dljax.train import driver, loop, optim, report
from dljax.train.checkpoint import Store
from dljax.train.compilation import compiler_options, enable_compilation_cache
from dljax.train.parallel import place


class Case(NamedTuple):
    """A network, its image shape and batch, the steps of a timed stretch, how seeds are run."""

    name: str
    model: Any
    shape: tuple[int, int, int]
    batch: int
    steps: int
    vectorize_seeds: str = "auto"


CASES = (
    Case("LeNet, batch 128", LeNet(10), (28, 28, 1), 128, 960),
    Case("LeNet on 8x8, batch 32, vmap", LeNet(10, padding="SAME"), (8, 8, 1), 32, 4800, "on"),
)


STEPS_PER_CALL, SEEDS = (1, 8, 64, 256), (1, 2, 4, 8)


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
    task = classifier.task(case.model, tx, image_shape=case.shape, classes=10)
    return task, feed.in_memory({"image": images, "label": labels}, case.batch)


def timed(f: Callable[[], Any]) -> float:
    """Seconds of a call, to the end of what it started."""
    begin = time.perf_counter()
    jax.block_until_ready(f())
    return time.perf_counter() - begin


def loops(case: Case, repeats: int) -> tuple[dict[str, np.ndarray], int]:
    """Steps per second [repeats] of each way; and the steps per dispatch that `train` chose."""
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

    def run_train(told: bool = True, checkpoints: bool = False) -> float:
        nonlocal chosen
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            report_ = stack.enter_context(report.Report(folder, steps, stream=Terminal()))
            store = Store(folder) if checkpoints else None
            begin = time.perf_counter()
            result = driver.train(
                task,
                data,
                steps=steps,
                placement=place("none"),
                report=report_ if told else None,
                store=store,
                checkpoint_every=steps // 4,
            )
            jax.block_until_ready(result.run)
            chosen = result.steps_per_call
            return time.perf_counter() - begin - result.seconds["compile"]

    ways = {
        "bare scan": run_bare,
        "train": run_train,
        "train, no reports": lambda: run_train(told=False),
        "train, four checkpoints": lambda: run_train(checkpoints=True),
        "one dispatch per step": run_stepwise,
    }
    chosen = 0
    for way in (run_bare, run_train, run_stepwise):
        way()
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            seconds[name].append(way())
    return {name: steps / np.array(values) for name, values in seconds.items()}, chosen


def dispatches(case: Case, repeats: int, chosen: int) -> dict[int, np.ndarray]:
    """Steps per second [repeats] with so many steps a dispatch, items made meanwhile."""
    task, data = make(case)
    numbers = sorted({*STEPS_PER_CALL, chosen})
    most = numbers[-1]
    placement = place("none")
    advance = loop.advance(task, data, placement, most)
    run, step = loop.start(task, [0], placement), 0

    def rate(k: int) -> float:
        nonlocal run, step
        items, begin = advance.prepare([0], step, k), time.perf_counter()
        calls = max(case.steps // (8 * k), 1)
        for _ in range(calls):
            run, sums, _ = advance(run, items, k)
            step += k
            items = advance.prepare([0], step, k)
            jax.device_get(sums)
        return calls * k / (time.perf_counter() - begin)

    rate(1)
    rates = {k: [] for k in numbers}
    for _ in range(repeats):
        for k, values in rates.items():
            values.append(rate(k))
    return {k: np.array(values) for k, values in rates.items()}


def seeds(case: Case) -> dict[int, dict[str, float]]:
    """Of 1, 2, 4 and 8 seeds: wall seconds in one program over those of as many single runs.

    Each with what it compiled ("with compile") and without ("apart"); and the megabytes that the
    program takes ("MB"): its state, data and temporary arrays.
    """
    task, data = make(case)

    def run(count: int) -> tuple[float, float]:
        begin = time.perf_counter()
        placement = place("none", num_seeds=count, vectorize_seeds=case.vectorize_seeds)
        result = driver.train(
            task, data, steps=case.steps // 8, seeds=range(count), placement=placement
        )
        whole = time.perf_counter() - begin
        return whole, whole - result.seconds["compile"]

    def megabytes(count: int) -> float:
        placement = place("none", num_seeds=count, vectorize_seeds=case.vectorize_seeds)
        advance = loop.advance(task, data, placement, 1)
        start = loop.start(task, range(count), placement)
        advance(start, advance.prepare(range(count), 0, 1), 1)
        return advance.program.megabytes()

    alone = np.mean([run(1) for _ in range(3)], axis=0)
    found = {}
    for count in SEEDS:
        whole, apart = run(count) / (count * alone)
        found[count] = {"with compile": whole, "compile apart": apart, "MB": megabytes(count)}
    return found


def main() -> None:
    """Runs all for each case, prints the tables, writes summary.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    begin, metrics = time.perf_counter(), {}
    rows, paces, many = [], [], []
    for case in CASES:
        for count, found in seeds(case).items():
            many.append((case.name, str(count), *(f"{x:.3g}" for x in found.values())))
            for name in ("with compile", "compile apart"):
                together = f"{count} seeds together / one after another, {name}"
                metrics[f"{case.name}: {together}"] = np.array([found[name]])
    with tempfile.TemporaryDirectory() as programs:  # from here on nothing is compiled twice
        compilation_cache.reset_cache()
        enable_compilation_cache(Path(programs))
        for case in CASES:
            rates, chosen = loops(case, args.repeats)
            for name, values in rates.items():
                share = values / rates["bare scan"]
                metrics[f"{case.name}: {name} / bare scan"] = share
                rows.append((case.name, name, f"{np.median(values):.1f}", *contest.spread(share)))
            paced = dispatches(case, args.repeats, chosen)
            best = max(np.median(values) for values in paced.values())
            for k, values in paced.items():
                name = f"{k}, chosen" if k == chosen else str(k)
                paces.append(
                    (case.name, name, f"{np.median(values):.1f}", *contest.spread(values / best))
                )
            metrics[f"{case.name}: chosen steps per dispatch / the best"] = paced[chosen] / best
    head = ("case", "way", "steps/s, median", "of the bare scan", "spread")
    print(contest.table(head, rows))
    head = ("case", "steps per dispatch", "steps/s, median", "of the best", "spread")
    print(contest.table(head, paces))
    head = ("case", "seeds in one program", "time / single runs, with compile", "apart", "MB")
    print(contest.table(head, many))
    contest.finish("loop", args.workdir, {"repeats": args.repeats}, metrics, begin)
    print(f"{report.device_name()}; {report.versions()}")


if __name__ == "__main__":
    main()
