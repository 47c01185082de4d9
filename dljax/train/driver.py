"""`train`: the loop with everything around it that a long run needs.

Chunks of a chosen number of steps, evaluation and reports at intervals, checkpoints, exact resume,
signals, and a stop (or a drop of the seed) where numbers are no longer finite.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from dljax.data.feed import Examples, Feed
from dljax.train import loop, metrics
from dljax.train.checkpoint import Store
from dljax.train.loop import Interrupted, NotFinite, Run, Sums, Task
from dljax.train.parallel import Placement, agreed, bytes_per_device, gathered, place
from dljax.train.report import Report

# A dispatch should take about this long: long enough to hide the host, short enough for Ctrl-C.
SHORTEST, TARGET = 0.1, 0.3
# Bound on the items of a chunk, and on its number of steps.
CHUNK_BYTES, CHUNK_STEPS = 8 << 20, 4096


class Result(NamedTuple):
    """What `train` returns.

    run: the last Run, after `steps` steps: all of them, unless patience ended it.
    metrics: the newest evaluation, name -> [seeds, ...] (NaN for dropped seeds).
    seconds: compile, train, evaluate, checkpoint. dropped: indices of seeds dropped by
    on_nan="drop". first_step: time.monotonic() when `train` was called and when the first steps
    were done; None where none were left.
    """

    run: Run
    metrics: dict[str, np.ndarray]
    seconds: dict[str, float]
    steps_per_second: float
    steps_per_call: int
    dropped: tuple[int, ...]
    steps: int
    first_step: tuple[float, float] | None = None


def train(
    task: Task,
    feed: Feed,
    *,
    steps: int,
    seeds: Sequence[int] = (0,),
    init_args: tuple = (),
    placement: Placement | None = None,
    evaluation: Examples | None = None,
    evaluator: loop.Evaluator | None = None,
    eval_every: int = 0,
    checkpoint_every: int = 0,
    steps_per_call: int = 0,
    store: Store | None = None,
    report: Report | None = None,
    summarise: Callable[[Sums], dict[str, np.ndarray]] = metrics.scalars,
    score: Callable[[dict[str, np.ndarray]], float] | None = None,
    patience: int = 0,
    eval_callback: Callable[[int, Sums], None] | None = None,
    on_nan: str = "stop",
) -> Result:
    """Trains `steps` steps, or what is left of them when `store` holds a checkpoint.

    init_args: what task.init takes besides a key, arrays [seeds, ...].
    evaluator: of the task and placement, for callers who go on to evaluate with it.
    eval_every, checkpoint_every: steps between them; 0: a tenth of the run, and as often as
    eval_every.
    steps_per_call: steps a dispatch; 0: so many that it takes about a third of a second.
    score: what makes a checkpoint the best one, larger is better, from an evaluation's metrics.
    patience: stops after so many evaluations whose score was no better than the best before; 0:
    never.
    eval_callback: (step, Sums) -> None, called after each evaluation.
    on_nan: "stop" raises NotFinite; "drop" goes on with the healthy seeds.
    Raises Interrupted after SIGINT or SIGTERM (first saving), NotFinite, CheckpointError, and
    ValueError for data that is no Feed or no Examples.
    """
    called, first_step = time.monotonic(), None
    if not isinstance(feed, Feed):
        raise ValueError(
            f"a Feed of batches is needed, not a {type(feed).__name__}: "
            'dljax.data.feed.in_memory({"image": images, "label": labels}, batch_size) makes one'
        )
    placement = placement or place(num_seeds=len(seeds))
    report = report or Report(None, steps, quiet=True)
    eval_every = eval_every or max(steps // 10, 1)
    checkpoint_every = checkpoint_every or eval_every
    meta = _fresh_meta()
    with _clock(meta["seconds"], "compile"):
        start = loop.starting(task, seeds, placement, init_args)
    restored = store.restore(start.run) if store else None
    run, meta = restored or (None, meta)
    report.rewind(meta["step"])  # what was reported after the checkpoint will be reported again
    if placement.fsdp:
        each, whole = bytes_per_device(start.run.states)
        report.say(
            f"the state takes {each / 1e6:.3g} MB on each of {placement.size} devices, "
            f"{whole / 1e6:.3g} MB in one piece"
        )
    if restored:
        report.say(f"continuing at step {meta['step']} of {steps}")
    else:  # in a thread, while the steps are traced
        with _clock(meta["seconds"], "compile"):
            start.begin()
    length = _chunk_length(
        feed, len(seeds), steps_per_call, min(eval_every, checkpoint_every, steps)
    )
    advance = loop.advance(task, feed, placement, length)
    evaluator = evaluator or loop.Evaluator(task, placement)
    evaluation = evaluator.prepare(evaluation) if evaluation else None
    dispatch = StepsPerCall(meta["steps_per_call"] or steps_per_call, length)
    seconds, pending = meta["seconds"], _from_json(meta["pending"])
    newest = {name: np.asarray(x) for name, x in meta["metrics"].items()}
    dropped = set(meta["dropped"])
    step, saved = meta["step"], meta["step"] if restored else -1
    best, waited = meta.get("best"), meta.get("waited", 0)  # score, evaluations since

    def unfinished() -> bool:
        return step < steps and not (patience and waited >= patience)

    def until(step: int) -> int:  # steps to the next evaluation, checkpoint or end
        return min(
            *(every - step % every for every in (eval_every, checkpoint_every)), steps - step
        )

    def save(scored: float | None) -> None:
        nonlocal saved
        if store is None or saved == step:
            return
        meta = {
            "step": step,
            "steps_per_call": dispatch.settled,
            "seconds": seconds,
            "dropped": sorted(dropped),
            "best": best,
            "waited": waited,
        }
        meta |= {
            "pending": _to_json(pending),
            "metrics": {n: x.tolist() for n, x in newest.items() if x.ndim == 1},
        }
        with _clock(seconds, "checkpoint"):
            store.save(step, run, meta, scored)
        saved = step

    with _signals() as received:
        k = dispatch.next(until(step)) if unfinished() else 0
        items = advance.prepare(seeds, step, k) if k else None
        with _clock(seconds, "compile"):
            if k:
                advance.begin(start.run, items)
            run = run if restored else jax.block_until_ready(start())
            del start  # and what it holds on the devices
        while unfinished():
            compiled, begin = advance.program.seconds, time.perf_counter()
            run, sums, bad = advance(run, items, k)
            done, step = k, step + k
            if step < steps:  # made and moved while the device works
                k = dispatch.next(until(step))
                items = advance.prepare(seeds, step, k)
            sums, bad = jax.device_get((sums, bad))
            compiled = advance.program.seconds - compiled
            elapsed = time.perf_counter() - begin - compiled
            if not dispatch.settled:
                dispatch.took(done, agreed(elapsed))  # all processes choose the same
            seconds["compile"] += compiled
            seconds["train"] += elapsed
            first_step = first_step or (called, time.monotonic())

            lost = [i for i in np.flatnonzero(bad >= 0) if i not in dropped]
            if lost:
                where = ", ".join(f"seed {seeds[i]} at step {bad[i]}" for i in lost)
                if on_nan != "drop" or len(dropped) + len(lost) == len(seeds):
                    kept = store.latest_step() if store else None
                    kept = (
                        "there is no checkpoint"
                        if kept is None
                        else f"the checkpoint of step {kept} is kept"
                    )
                    raise NotFinite(f"loss, gradient or state is not finite: {where}; {kept}")
                report.warn(f"not finite, dropped: {where}")
                dropped.update(int(i) for i in lost)

            pending = metrics.add(pending, sums)
            report.progress(
                step, without(summarise(sums), dropped), step / max(seconds["train"], 1e-9)
            )
            scored = None
            if step % eval_every == 0 or step == steps:
                line = {f"train/{n}": x for n, x in without(summarise(pending), dropped).items()}
                pending = {}
                if evaluation:
                    compiled = evaluator.seconds
                    with _clock(seconds, "evaluate"):
                        found = evaluator(run, evaluation)
                        newest = without(summarise(found), dropped)
                    compiled = evaluator.seconds - compiled
                    seconds["compile"] += compiled
                    seconds["evaluate"] -= compiled
                    line |= {f"validation/{n}": x for n, x in newest.items()}
                    scored = score(newest) if score else None
                    if scored is not None:
                        better = best is None or scored > best
                        best, waited = (scored, 0) if better else (best, waited + 1)
                    if eval_callback:
                        eval_callback(step, found)
                report.line(step, line, seconds["train"])
            if step % checkpoint_every == 0 or not unfinished():
                save(scored)
            signum = gathered(received[0] if received else 0).max()  # sent to any process
            if signum and unfinished():
                save(None)
                if store:
                    store.wait()
                raise Interrupted(int(signum), step, store is not None)
        if step < steps:
            report.say(f"stopped at step {step}: no better score in {waited} evaluations")
        if store:
            store.wait()
    rate = step / max(seconds["train"], 1e-9)
    return Result(run, newest, seconds, rate, dispatch.k, tuple(sorted(dropped)), step, first_step)


class StepsPerCall:
    """Chooses the steps of a dispatch: more until one takes SHORTEST seconds, then settles.

    k: steps of the next one. settled: the chosen number, 0 until it is chosen.
    """

    def __init__(self, settled: int, length: int):
        self.settled, self._length = min(settled, length), length
        self.k = self.settled or 1
        self._warm = False

    def next(self, left: int) -> int:
        parts = -(-left // self.k)  # even parts up to the next event
        return -(-left // parts)

    def took(self, k: int, seconds: float) -> None:
        if self.settled or not self._warm or 2 * k <= self.k:
            self._warm = True  # the first dispatch is slow, a short one says little
            return
        wanted = int(np.clip(round(k * TARGET / max(seconds, 1e-9)), 1, self._length))
        if seconds >= SHORTEST or k >= self._length:
            self.settled = self.k = wanted
        else:
            self.k = max(self.k, min(wanted, 8 * k))


def _chunk_length(feed: Feed, seeds: int, steps_per_call: int, most: int) -> int:
    if steps_per_call:
        return min(steps_per_call, most)
    fitting = CHUNK_BYTES // max(seeds * feed.item_bytes(), 1)
    return max(min(fitting, most, CHUNK_STEPS), 1)


def _fresh_meta() -> dict[str, Any]:
    seconds = {"compile": 0.0, "train": 0.0, "evaluate": 0.0, "checkpoint": 0.0}
    return {
        "step": 0,
        "steps_per_call": 0,
        "pending": {},
        "metrics": {},
        "seconds": seconds,
        "dropped": [],
    }


def _to_json(sums: Sums) -> Any:
    return {name: [x.tolist() for x in pair] for name, pair in sums.items()}


def _from_json(saved: Any) -> Sums:
    return {name: tuple(np.asarray(x) for x in pair) for name, pair in saved.items()}


def healthy(tree: Any, dropped: Collection[int]) -> Any:
    """A tree of arrays [seeds, ...] with the healthy seeds alone."""
    if not dropped:
        return tree
    return jax.tree.map(lambda x: x[np.delete(np.arange(len(x)), sorted(dropped))], tree)


def without(values: dict[str, np.ndarray], dropped: Collection[int]) -> dict[str, np.ndarray]:
    """Values [seeds, ...] with NaN for the dropped seeds."""
    if not dropped:
        return values
    gone = sorted(dropped)

    def blank(x):
        x = np.array(x, float)
        x[gone] = np.nan
        return x

    return {name: blank(x) for name, x in values.items()}


@contextlib.contextmanager
def _clock(seconds: dict[str, float], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[name] += time.perf_counter() - begin


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM, in the main thread; a second one acts at once."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def handle(signum, frame):
        received.append(signum)
        signal.signal(signum, before[signum] or signal.SIG_DFL)
        if signum == signal.SIGINT:  # somebody waits; and print may be in the midst of a line
            with contextlib.suppress(OSError):  # nobody reads it
                os.write(2, b"\nSIGINT: ends after the work in hand, once more at once\n")

    try:
        for s in before:
            signal.signal(s, handle)
        yield received
    finally:
        for s, handler in before.items():
            signal.signal(s, handler if handler is not None else signal.SIG_DFL)
