"""The one training loop: whole chunks of steps, of all seeds, in one XLA program.

A topic hands pure functions (Task); the loop owns steps, keys, seeds, devices and files. `start`,
`advance` and `evaluate` are the three programs; `train` (driver.py) runs them with reports,
checkpoints and signals around.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import PartitionSpec as P

from dljax.data.feed import Examples, Feed
from dljax.train import metrics
from dljax.train.compilation import Program
from dljax.train.parallel import Placement

Array = jax.Array
Key = jax.Array
State = Any
Batch = Any
PyTree = Any
Sums = dict[str, tuple[Array, Array]]

# Constants folded into a root key; a step's number (below 2**31) can be neither of them.
INIT, EVALUATE = 0xFFFFFFFF, 0xFFFFFFFE


class Task(NamedTuple):
    """What a topic hands to the loop. Nothing in it has a seed axis.

    init: (key, *init_args) -> State, all that changes, as one pytree; floating-point leaves stay
        finite. init_args: what `start` and `train` are given under that name, of one seed.
    step: (State, batch, key) -> (State, Sums); State keeps its structure, shapes and dtypes, and
        the Sums hold what shows whether the step went well (the loss, the norm of the gradient).
    evaluate: (State, batch, key) -> Sums, sufficient statistics over a masked batch.
    spec: a prefix of State, what is sharded over devices (axis "data"); default: nothing.
    """

    init: Callable[..., State]
    step: Callable[[State, Batch, Key], tuple[State, Sums]]
    evaluate: Callable[[State, Batch, Key], Sums]
    spec: Any = P()


class Run(struct.PyTreeNode):
    """The one thing that is checkpointed.

    step: int32 scalar, steps done. keys: [seeds] root keys, never advanced. states: [seeds, ...].
    """

    step: Array
    keys: Key
    states: State


class Interrupted(Exception):
    """A signal ended the run after a whole dispatch; what was done is in the checkpoint."""

    def __init__(self, signum: int, step: int, saved: bool):
        self.signum, self.step, self.saved = signum, step, saved
        where = (
            f"saved at step {step}" if saved else f"not saved: the run has no workdir (step {step})"
        )
        super().__init__(f"{signal.Signals(signum).name}: {where}")


class NotFinite(RuntimeError):
    """A loss, a gradient or a state is NaN or infinite."""


def one_seed(states: PyTree, seed: int = 0) -> PyTree:
    """The State of the seed at that position of States [seeds, ...], as the task made it."""
    return jax.tree.map(lambda x: x[seed], states)


def _shardings(task: Task, placement: Placement, run: Run) -> Run:
    """How a Run, or the shapes of one, lies on the devices between two programs."""
    states = placement.states(task.spec, run.states)
    return Run(placement.everywhere(), placement.seeds(), states)


def _laid_out(task: Task, placement: Placement, run: Run) -> Run:
    """Within a program, the Run that it returns."""
    return jax.lax.with_sharding_constraint(run, _shardings(task, placement, run))


class Start(NamedTuple):
    """The start of a task: `start()` is the run at step 0.

    program: what is compiled, at its first call, for `args`. run: shapes, dtypes and shardings of
    what it returns, which a checkpoint is read into.
    """

    program: Program
    args: tuple
    run: Run

    def begin(self) -> None:
        """Compiles while the caller goes on."""
        self.program.begin(*self.args)

    def __call__(self) -> Run:
        return self.program(*self.args)


def starting(
    task: Task, seeds: Sequence[int], placement: Placement, init_args: tuple = ()
) -> Start:
    """The start, which is not compiled yet: one state for each seed, each from its own root key.

    init_args: what task.init takes besides a key, arrays [seeds, ...] (a sweep's values, say).
    """
    init = placement.over_seeds(
        lambda key, init_args: task.init(jax.random.fold_in(key, INIT), *init_args), (0, 0)
    )

    def create(seeds, init_args):
        keys = jax.vmap(jax.random.key)(seeds)
        return _laid_out(task, placement, Run(jnp.int32(0), keys, init(keys, init_args)))

    program = Program(jax.jit(create), placement, once=True)
    args = placement.put((np.asarray(seeds, np.uint32), init_args), placement.seeds())
    shapes = program.shapes(*args)
    shardings = _shardings(task, placement, shapes)
    run = jax.tree.map(lambda x, sharding: x.update(sharding=sharding), shapes, shardings)
    return Start(program, args, run)


def start(task: Task, seeds: Sequence[int], placement: Placement, init_args: tuple = ()) -> Run:
    """The run at step 0; arguments as of `starting`."""
    return starting(task, seeds, placement, init_args)()


def abstract_run(
    task: Task, seeds: Sequence[int], placement: Placement, init_args: tuple = ()
) -> Run:
    """Shapes, dtypes and shardings of what `start` makes: what a checkpoint is read into."""
    return starting(task, seeds, placement, init_args).run


def _is_finite(tree: Any) -> Array:
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in leaves]))


class Advance(NamedTuple):
    """The compiled steps of a task: `advance(run, items, k)`, with `items` from `prepare`.

    program: what is compiled, at its first call. arrays: of the feed, on the device. feed,
    placement, length: as given to the function `advance`.
    """

    program: Program
    arrays: PyTree
    feed: Feed
    placement: Placement
    length: int

    def prepare(self, seeds: Sequence[int], step: int, k: int) -> PyTree:
        """The items of steps step .. step + k - 1, made and moved; the device may still work."""
        sharding, total = self.placement.items(), self.feed.rows
        own = self.placement.share(sharding, 0, len(seeds))
        held, rows = {0: (own, len(seeds))}, ()
        if total:
            rows = (self.placement.share(sharding, 2, total),)
            held[2] = (rows[0], total)
        chunks = [self.feed.chunk(seed, step, k, *rows) for seed in seeds[own]]

        def pad(*xs):
            out = np.zeros((len(xs), self.length, *xs[0].shape[1:]), xs[0].dtype)
            for row, x in zip(out, xs, strict=True):
                row[:k] = x
            return out

        return self.placement.put(jax.tree.map(pad, *chunks), sharding, held)

    def begin(self, run: Run, items: PyTree) -> None:
        """Compiles for such a run, or the shapes of one, while the caller goes on."""
        self.program.begin(run, self.arrays, items, np.int32(0))

    def __call__(self, run: Run, items: PyTree, k: int) -> tuple[Run, Sums, Array]:
        """(run after k steps, Sums over them, first bad step); `run` is donated.

        The first bad step [seeds] int32 is the one whose Sums (or, after the last one, whose state)
        were not finite; -1 if there was none.
        """
        return self.program(run, self.arrays, items, np.int32(k))


def advance(task: Task, feed: Feed, placement: Placement, length: int) -> Advance:
    """The compiled steps of a task, of all seeds in one program.

    One program serves every k from 1 to `length`: the number of steps is an argument of its loop,
    so neither the last, shorter chunk nor another k compiles anew or changes a bit.
    """

    def chunk(state, key, arrays, items, first, k):  # of one seed
        step = jax.jit(task.step, inline=True)

        def one(i, carry):
            state, total, bad = carry
            batch = feed.batch(arrays, jax.tree.map(lambda x: x[i], items))
            state, sums = step(state, batch, jax.random.fold_in(key, first + i))
            bad = jnp.where((bad < 0) & ~_is_finite(sums), first + i, bad)
            return state, jax.tree.map(jnp.add, total, sums), bad

        # Of a batch, not of its shapes, which know no mesh: the step would be traced once more
        # (findings/jax_eval_shape_mesh.sh).
        batch = feed.batch(arrays, jax.tree.map(lambda x: x[0], items))
        shapes = jax.eval_shape(step, state, batch, key)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes[1])
        state, total, bad = jax.lax.fori_loop(0, k, one, (state, zeros, jnp.int32(-1)))
        return state, total, jnp.where((bad < 0) & ~_is_finite(state), first + k - 1, bad)

    mapped = placement.over_seeds(chunk, (0, 0, None, 0, None, None))

    def many(run, arrays, items, k):
        states, sums, bad = mapped(run.states, run.keys, arrays, items, run.step, k)
        return _laid_out(task, placement, Run(run.step + k, run.keys, states)), sums, bad

    out = (None, placement.results(), placement.results())
    program = Program(jax.jit(many, donate_argnums=0, out_shardings=out), placement)
    arrays = placement.put(feed.arrays, placement.everywhere())
    return Advance(program, arrays, feed, placement, length)


class Evaluator:
    """The compiled evaluation of a task: `evaluator(run, examples)` -> Sums [seeds, ...].

    Compiled at its first call, and again for examples whose batches are made by another function or
    have other shapes; `seconds` is what all that took.
    """

    def __init__(self, task: Task, placement: Placement):
        self._task, self._placement = task, placement
        self._programs: dict[Any, Program] = {}

    @property
    def seconds(self) -> float:
        return sum(program.seconds for program in self._programs.values())

    def prepare(self, examples: Examples) -> Examples:
        """The same with their arrays on the device; ValueError for what is no Examples."""
        if not isinstance(examples, Examples):
            raise ValueError(
                f"Examples are needed, not a {type(examples).__name__}: dljax.data.feed.examples("
                '{"image": images, "label": labels}, batch_size) makes them'
            )
        placed = self._placement.put(examples.arrays, self._placement.everywhere())
        return examples._replace(arrays=placed)

    def __call__(self, run: Run, examples: Examples) -> Sums:
        """The Sums over all (prepared) examples as float64 on the host."""
        total, waiting = {}, None
        sharding, size = self._placement.examples(), examples.rows
        share = self._placement.share(sharding, 0, size)
        rows, held = ((share,), {0: (share, size)}) if size else ((), {})
        for i, item in enumerate(examples.items(*rows)):
            item = self._placement.put(item, sharding, held)
            program = self._program(examples, item)
            sums = program(run.states, run.keys, examples.arrays, item, np.int32(i))
            if waiting:  # fetched when the next one is under way, and the one after is being read
                total = metrics.add(total, jax.device_get(waiting))
            waiting = sums
        return metrics.add(total, jax.device_get(waiting))

    def _program(self, examples: Examples, item: PyTree) -> Program:
        shapes = jax.tree.map(lambda x: (x.shape, x.dtype), (examples.arrays, item))
        key = (examples.batch, *jax.tree.leaves(shapes), jax.tree.structure(shapes))
        if key not in self._programs:
            self._programs[key] = self._compiled(examples.batch)
        return self._programs[key]

    def _compiled(self, batch: Callable[[PyTree, PyTree], Batch]) -> Program:
        def one(state, key, arrays, item, i):  # of one seed
            key = jax.random.fold_in(jax.random.fold_in(key, EVALUATE), i)
            return self._task.evaluate(state, batch(arrays, item), key)

        mapped = self._placement.over_seeds(one, (0, 0, None, None, None))
        jitted = jax.jit(mapped, out_shardings=self._placement.results())
        return Program(jitted, self._placement)


def evaluate(task: Task, run: Run, examples: Examples, placement: Placement) -> Sums:
    """Sums [seeds, ...] of a run over all examples. To evaluate often, keep an `Evaluator`."""
    evaluator = Evaluator(task, placement)
    return evaluator(run, evaluator.prepare(examples))
