"""Environments so small that the right answer is known: each asks one thing of an algorithm.

An algorithm that fails on one of them points at its own fault (Jones 2021, "Debugging RL, without
the agonizing pain").
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dljax.envs.environment import Box, Discrete, Environment, Step

YES, NO = jnp.array(True), jnp.array(False)
TWO, OBSERVED = Discrete(2), Box((1,), -1.0, 1.0)


class Place(NamedTuple):
    """What a probe remembers."""

    time: jax.Array
    sign: jax.Array


def probe(name, see, act, limit=1, action=TWO):
    """see: Place -> number. act: (Place after the step, action) -> reward, terminated, truncated.

    The sign is 1 or -1, drawn at each reset.
    """

    def reset(key):
        sign = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)
        place = Place(jnp.int32(0), sign)
        return place, jnp.float32(see(place))[None]

    def step(key, place, action):
        del key
        place = place._replace(time=place.time + 1)
        reward, terminated, truncated = act(place, action)
        obs = jnp.float32(see(place))[None]
        return place, Step(obs, jnp.float32(reward), terminated, truncated)

    return Environment(name, reset, step, OBSERVED, action, limit)


class Mixed(NamedTuple):
    """Which of the probes is played, and its place."""

    which: jax.Array
    place: Place


def mixture(probes):
    """All of them at once: each episode draws one, seen as a one-hot code before its observation.

    So one program asks all the questions; `codes` are the observations to ask about.
    """
    n = len(probes)

    def see(which, obs):
        return jnp.append(jax.nn.one_hot(which, n), obs[which, 0])

    def reset(key):
        first, second = jax.random.split(key)
        which = jax.random.randint(first, (), 0, n)
        places, obs = zip(*(probe.reset(second) for probe in probes), strict=True)
        return Mixed(which, places[0]), see(which, jnp.stack(obs))

    def step(key, state, action):
        place, told = zip(*(probe.step(key, state.place, action) for probe in probes), strict=True)
        told = jax.tree.map(lambda *x: jnp.stack(x), *told)
        chosen = jax.tree.map(lambda x: x[state.which], told)
        return Mixed(state.which, place[0]), chosen._replace(obs=see(state.which, told.obs))

    limit = max(probe.limit for probe in probes)
    return Environment("mixture", reset, step, Box((n + 1,), -1.0, 1.0), probes[0].action, limit)


def code(probes, name, obs):
    """The observation of the mixture that means `obs` of the probe of that name."""
    which = [probe.name for probe in probes].index(name)
    return jnp.append(jax.nn.one_hot(which, len(probes)), jnp.float32(obs))


def one():
    """A reward of one and the end: value 1."""
    return probe("one", lambda p: 0.0, lambda p, a: (1.0, YES, NO))


def seen():
    """The reward is what is seen: value 1 or -1."""
    return probe("seen", lambda p: p.sign, lambda p, a: (p.sign, YES, NO))


def delayed():
    """A reward of one after two steps, seen as 0 and 1: values gamma and 1."""
    return probe("delayed", lambda p: p.time, lambda p, a: (p.time == 2, p.time == 2, NO), limit=2)


def chosen():
    """The second action is rewarded, the first one punished."""
    return probe("chosen", lambda p: 0.0, lambda p, a: (2.0 * a - 1.0, YES, NO))


def matched():
    """The action has to be the second one where 1 is seen, the first one where -1 is."""
    return probe("matched", lambda p: p.sign, lambda p, a: (p.sign * (2.0 * a - 1.0), YES, NO))


def cut():
    """A reward of one at each step, cut after three of them: value 1 / (1 - gamma)."""
    return probe("cut", lambda p: 0.0, lambda p, a: (1.0, NO, p.time == 3), limit=3)


def aimed():
    """A continuous action is best at 0.5."""
    return probe(
        "aimed",
        lambda p: 0.0,
        lambda p, a: (-((a[0] - 0.5) ** 2), YES, NO),
        action=OBSERVED,
    )


def remembered():
    """What is seen at first, and not after, says which action is rewarded at the third step."""

    def act(p, a):
        last = p.time == 3
        return jnp.where(last, p.sign * (2.0 * a - 1.0), 0.0), last, NO

    return probe("remembered", lambda p: jnp.where(p.time == 0, p.sign, 0.0), act, limit=3)
