"""What `benchmarks.gpu` measures with: cases that may fail one by one, and training steps as cases.

A training step is timed in stretches of contest.STEPS that end when the loss is on the host.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import contest
from benchmarks.contest import Steps

ROOMY = 48 << 30  # bytes of memory for which the batches are made
AGREE = {"bfloat16": 5e-2, "float32": 1e-2}  # shares up to which losses of equal steps may differ


class Asked(NamedTuple):
    """tiny: sizes for a test on a CPU. cifar, text: files, or "". torch: the module, or None.

    memory: bytes of the card; 0: unknown.
    """

    tiny: bool
    repeats: int
    cifar: str = ""
    text: str = ""
    torch: Any = None
    memory: int = 0

    @property
    def device(self) -> str:
        """The device, as torch calls it."""
        return "cpu" if jax.default_backend() == "cpu" else "cuda"

    def fitting(self, batch: int) -> int:
        """The batch, a power of two, or the part of it that suits a smaller memory."""
        share = min(1.0, self.memory / ROOMY) if self.memory else 1.0
        return max(1, 2 ** int(np.log2(batch * share)))


class Found(NamedTuple):
    """One line of the table.

    values: [repeats], in the unit. first: seconds until the first step was done, compiling and all.
    gigaflops: 1e9 operations a second [repeats], in dtype. problem: why the run fails in the end.
    """

    values: np.ndarray
    unit: str
    first: float | None = None
    gigaflops: np.ndarray | None = None
    dtype: str = ""
    note: str = ""
    problem: str = ""


class Case(NamedTuple):
    """What is measured, of whom (dljax, torch, torch compiled), and how.

    measure: (time.perf_counter() when its section has no more time) -> Found.
    """

    name: str
    who: str
    measure: Callable[[float], Found]


class LeftOut(Exception):
    """What a case needs is not there, which is no failure."""


class Problem(NamedTuple):
    """A training step. items: how many of `unit` it handles. work: () -> its 1e9 operations.

    ours: () -> what makes steps. theirs: compiled (bool) -> the same by PyTorch.
    """

    name: str
    dtype: str
    items: int
    unit: str
    ours: Callable[[], Steps]
    theirs: Callable[[bool], Steps] | None = None
    work: Callable[[], float] | None = None


def products(asked: Asked) -> Iterator[Case]:
    """Products of large matrices: what the card does at best."""

    def measure(dtype: str, deadline: float) -> Found:
        del deadline
        rate = np.array([contest.matrix_rate(jnp.dtype(dtype), 256 if asked.tiny else 0)])
        return Found(rate / 1e3, "TFLOP/s", gigaflops=rate, dtype=dtype)

    for dtype in AGREE:
        yield Case(f"matrix product, {dtype}", "dljax", partial(measure, dtype))


def training(
    asked: Asked,
    losses: dict[str, list[float]],
    problems: Sequence[Problem],
    compiled: bool = False,
) -> Iterator[Case]:
    """Steps of each problem by us and by PyTorch; or by PyTorch's compiler alone.

    losses: of the first steps of a problem by whoever was first; the others must have the same.
    """

    def measure(problem: Problem, who: str, make: Callable[[], Steps], deadline: float) -> Found:
        del deadline  # of one case
        begin = time.perf_counter()
        steps = make()
        found = [steps(1)]
        first = time.perf_counter() - begin
        found += [steps(1) for _ in range(2)]
        steps(contest.STEPS)
        ms = contest.interleaved({who: steps}, asked.repeats)[who]
        expected, wrong = losses.setdefault(problem.name, found), ""
        try:
            both = {"the first one": expected, who: found}
            contest.check_losses(problem.name, both, AGREE[problem.dtype])
        except ValueError as error:
            wrong = str(error)
        gigaflops = 1e3 * problem.work() / ms if problem.work else None
        values = 1e3 * problem.items / ms
        return Found(values, f"{problem.unit}/s", first, gigaflops, problem.dtype, problem=wrong)

    who = "torch compiled" if compiled else "torch"
    for problem in problems:
        if not compiled:
            yield Case(problem.name, "dljax", partial(measure, problem, "dljax", problem.ours))
        if asked.torch and problem.theirs:
            make = partial(problem.theirs, compiled)
            yield Case(problem.name, who, partial(measure, problem, who, make))


def name_of(asked: Asked, name: str) -> str:
    return f"tiny {name}" if asked.tiny else name
