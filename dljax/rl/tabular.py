"""Exact values of small problems by value iteration, to compare learned ones with.

A Table is made by stepping the environment itself, from its starts through all that can be reached,
in the form whose moves never fail; how they fail is then a matrix over actions. Time limits are
left out: they truncate, and a truncated state keeps its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax.envs.environment import Environment

MOST = 4000  # states of a problem that counts as small
STARTS = 256  # resets that estimate where episodes begin


class Small(NamedTuple):
    """What a table of a small environment needs besides its functions.

    never_fails: its parameters under which moves never fail. slip: its parameters -> [A, A], the
    probability that an action is carried out as another. place: state -> row and column.
    """

    never_fails: Mapping[str, Any]
    slip: Callable[[Mapping[str, Any]], np.ndarray]
    place: Callable[[Any], tuple[Any, Any]]


def _rooms(parameters: Mapping[str, Any]) -> np.ndarray:
    """A move that fails goes in one of the other three directions."""
    fail = parameters.get("fail_prob", 1 / 3)
    return (1 - 4 * fail / 3) * np.eye(4) + fail / 3


def _lake(parameters: Mapping[str, Any]) -> np.ndarray:
    """On slippery ice a move goes in one of the two directions beside it, unless it succeeds."""
    if parameters.get("map_name", "4x4") != "4x4" or "desc" in parameters:
        raise ValueError("FrozenLake-misc has a table only of its 4x4 map")
    success = parameters.get("success_rate", 1 / 3) if parameters.get("is_slippery", True) else 1
    beside = np.roll(np.eye(4), 1, axis=1) + np.roll(np.eye(4), -1, axis=1)
    return success * np.eye(4) + (1 - success) / 2 * beside


def _sea(parameters: Mapping[str, Any]) -> np.ndarray:
    if not parameters.get("deterministic", True) or parameters.get("sample_action_map", False):
        raise ValueError("DeepSea-bsuite has a table only if deterministic, with one action map")
    return np.eye(2)


SMALL = {
    "FourRooms-misc": Small({"fail_prob": 0.0}, _rooms, lambda s: (s.pos[0], s.pos[1])),
    "FrozenLake-misc": Small({"is_slippery": False}, _lake, lambda s: divmod(s.position, 4)),
    "DeepSea-bsuite": Small({}, _sea, lambda s: (s.row, s.column)),
}


class Table(NamedTuple):
    """All states of a problem, numbered, and what a move that does not fail does. On the host.

    obs [S, ...]: their observations. place [S, 2]: row and column; to [S, A, 2]: those that a move
    leads to. next, reward, terminated [S, A]: number of the next state (0 where there is
    none), reward, and whether it is the end. slip [A, A]. start [S]: where episodes begin.
    """

    obs: np.ndarray
    place: np.ndarray
    to: np.ndarray
    next: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    slip: np.ndarray
    start: np.ndarray


def table(env: Environment, small: Small, slip: np.ndarray) -> Table:
    """The Table of an environment whose moves never fail and whose observations name its states.

    Raises ValueError where there are more than MOST of them.
    """

    @jax.jit
    def moves(state: Any) -> tuple[Any, Any, Any]:
        actions = jnp.arange(env.action.n)
        after, timestep = jax.vmap(env.step, (None, None, 0))(jax.random.key(0), state, actions)
        return after, timestep, jnp.stack(jax.vmap(small.place)(after), -1)

    def one(tree: Any, i: int) -> Any:
        return jax.tree.map(lambda x: x[i], tree)

    number: dict[bytes, int] = {}
    waiting: list[tuple[Any, np.ndarray, Any]] = []  # in the order of their numbers

    def numbered(state: Any, obs: np.ndarray, place: Any) -> int:
        code = obs.tobytes()
        if code not in number:
            number[code] = len(number)
            waiting.append((state, obs, place))
            if len(number) > MOST:
                raise ValueError(f"{env.name} has more than {MOST} states: too many for a table")
        return number[code]

    keys = jax.random.split(jax.random.key(0), STARTS)
    state, obs = jax.jit(jax.vmap(env.reset))(keys)
    place = np.stack(jax.vmap(small.place)(state), -1)
    state, obs = jax.device_get((state, obs))
    first = [numbered(one(state, i), obs[i], place[i]) for i in range(STARTS)]
    rows = []
    for state, _, _ in waiting:  # which grows meanwhile
        after, timestep, to = jax.device_get(moves(state))
        following = [
            0 if timestep.terminated[a] else numbered(one(after, a), timestep.obs[a], to[a])
            for a in range(len(to))
        ]
        rows.append((following, timestep.reward, timestep.terminated, to))
    following, reward, terminated, to = (np.array(column) for column in zip(*rows, strict=True))
    obs, place = (np.stack([entry[i] for entry in waiting]) for i in (1, 2))
    start = np.bincount(first, minlength=len(rows)) / STARTS
    return Table(obs, place, to, following, reward, terminated, slip, start)


class Values(NamedTuple):
    """q [S, A] and v [S], its largest, float64."""

    q: np.ndarray
    v: np.ndarray


def value_iteration(problem: Table, gamma: float, tolerance: float = 1e-8) -> Values:
    """The optimal values, no further off than the tolerance.

    v(s) = max over a of sum over b of slip(a, b) (r(s, b) + gamma v(next(s, b))), repeated until it
    stands: Sutton and Barto 2018, equation 4.10. Raises ValueError unless gamma is below 1.
    """
    if not 0 <= gamma < 1:
        raise ValueError(f"value iteration needs a discount below 1, not {gamma}")
    v = np.zeros(len(problem.obs))
    while True:
        moved = problem.reward + gamma * np.where(problem.terminated, 0.0, v[problem.next])
        q = moved @ problem.slip.T
        change, v = np.abs(q.max(1) - v).max(), q.max(1)
        if change * gamma <= tolerance * (1 - gamma):
            return Values(q, v)


def policy_evaluation(problem: Table, action: np.ndarray, gamma: float) -> np.ndarray:
    """The value v [S] of a policy that does action [S] int, or tries to, for ever after.

    Source: Sutton and Barto 2018, equation 4.4, solved as linear equations.
    """
    states = np.arange(len(problem.obs))
    slip = problem.slip[action]  # [S, A]: what is carried out
    goes_on = gamma * slip * ~problem.terminated
    transition = np.zeros((len(states), len(states)))
    np.add.at(transition, (states[:, None], problem.next), goes_on)
    return np.linalg.solve(np.eye(len(states)) - transition, (slip * problem.reward).sum(1))
