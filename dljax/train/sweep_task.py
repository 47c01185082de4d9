"""Members of a sweep: trained as seeds are, but for numbers that their steps compute with.

A member is a value of each swept hyper-parameter, and a seed. Its values lie in its state: one
program serves all members, a checkpoint knows them, and the bits of one depend on no other. In a
run without a sweep the same numbers are constants of the program, which XLA may fold and round
otherwise: it agrees with its member to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import struct
from jax import Array
from jax.sharding import PartitionSpec as P

from dljax.data.feed import Feed
from dljax.train.loop import Key, Sums, Task

Values = dict[str, Array]


class Member(struct.PyTreeNode):
    """values: scalars that training never changes. state: of the task that has these values."""

    values: Values
    state: Any


def task(make: Callable[[Values], Task], spec: Any) -> Task:
    """The Task of a member, from what makes the one of given values; spec: of the latter.

    Its init is (key, values) -> Member.
    """

    def init(key: Key, values: Values) -> Member:
        return Member(values, make(values).init(key))

    def step(member: Member, batch: Any, key: Key) -> tuple[Member, Sums]:
        state, sums = make(member.values).step(member.state, batch, key)
        return member.replace(state=state), sums

    def evaluate(member: Member, batch: Any, key: Key) -> Sums:
        return make(member.values).evaluate(member.state, batch, key)

    return Task(init, step, evaluate, Member(P(), spec))


def check(make: Callable[[Values], Task], feed: Feed, values: Values) -> None:
    """Raises ValueError, in one line, for a value that is no number in the compiled step.

    So are those that decide its form (a shape, a length, which branch is built) or are not of it.
    """
    item = jax.tree.map(lambda x: x[0], feed.chunk(0, 0, 1))

    for name, value in values.items():

        def one(value, key, arrays, item, name=name):
            made = make({name: value})
            return made.step(made.init(key), feed.batch(arrays, item), key)[1]

        try:
            program = jax.make_jaxpr(one)(value, jax.random.key(0), feed.arrays, item).jaxpr
            used = any(program.invars[0] is x for each in program.eqns for x in each.invars)
            cause = None
        except (TypeError, IndexError) as error:  # what jax raises where it needs a known number
            used, cause = False, error
        if not used:
            raise ValueError(
                f"{name} can't be swept: it is no number that the compiled step computes with "
                "(as learning_rate is); make a run for each of its values"
            ) from cause
