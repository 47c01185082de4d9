"""Stepping environments: rollouts to learn from, and whole episodes to evaluate an agent.

Resets are not computed at every step: a rollout begins with a pool of fresh starts, one reset each,
and an environment whose episode ends draws one of them with replacement. So two episodes that begin
within one rollout may begin alike; the next rollout has another pool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from dljax.envs.environment import Environment, Key
from dljax.train import metrics

POOL = 64  # starts in a pool: so many, or one for each environment, but no more than steps
EPISODES = 0xE1150DE5  # root key of the episodes of an evaluation

# (memory, obs [N, ...], start [N], noise [N, ...]) -> (memory, action [N, ...])
Act = Callable[[Any, Array, Array, Array], tuple[Any, Array]]
Noise = Callable[[Key, tuple[int, ...]], Array]  # key, shape -> [*shape, ...]


class Actors(struct.PyTreeNode):
    """N environments between two steps.

    state, obs: of each. start [N]: obs is the first one of its episode. memory: the recurrent
    state that each agent has. total, length [N]: return and steps of the episode so far.
    """

    state: Any
    obs: Array
    start: Array
    memory: Any
    total: Array
    length: Array


class Trajectory(NamedTuple):
    """T steps of N environments; all arrays [T, N, ...].

    obs, start: before the action; next_obs: after it, never of the next episode; memory: the
    agent's after it. The agent's values and probabilities are not kept: to compute those of all
    steps at once is cheaper than one after the other.
    """

    obs: Array
    start: Array
    action: Array
    reward: Array
    terminated: Array
    truncated: Array
    next_obs: Array
    memory: Any

    def continues(self) -> Array:
        """1 where the episode goes on beyond the step, 0 where it ended, for whatever reason."""
        return 1.0 - (self.terminated | self.truncated)


def begin(env: Environment, key: Key, environments: int, memory: Any = ()) -> Actors:
    """Environments at their first observation."""
    state, obs = jax.vmap(env.reset)(jax.random.split(key, environments))
    zeros = jnp.zeros(environments)
    start = jnp.ones(environments, bool)
    return Actors(state, obs, start, memory, zeros, zeros.astype(jnp.int32))


def rollout(
    env: Environment, act: Act, actors: Actors, key: Key, noise: Array
) -> tuple[Actors, Trajectory, metrics.Sums]:
    """T steps of all environments, T being the leading axis of noise [T, N, ...].

    The Sums are the return and length of the episodes that ended meanwhile.
    """
    steps, n = noise.shape[:2]
    step_key, pool_key, draw_key = jax.random.split(key, 3)
    size = min(max(n, POOL), steps * n)
    pool = jax.vmap(env.reset)(jax.random.split(pool_key, size))
    drawn = jax.random.randint(draw_key, (steps, n), 0, size)
    keys = jax.random.split(step_key, (steps, n))

    def one(carry, x):
        actors, ended = carry
        noise, keys, drawn = x
        memory, action = act(actors.memory, actors.obs, actors.start, noise)
        state, timestep = jax.vmap(env.step)(keys, actors.state, action)
        done = timestep.terminated | timestep.truncated
        total, length = actors.total + timestep.reward, actors.length + 1
        ended = (
            ended[0] + jnp.where(done, total, 0.0),
            ended[1] + jnp.where(done, length, 0),
            ended[2] + done,
        )
        step = Trajectory(actors.obs, actors.start, action, *timestep[1:], timestep.obs, memory)

        def fresh(start, x):
            return jnp.where(done.reshape(n, *(1,) * (x.ndim - 1)), start[drawn], x)

        state, obs = jax.tree.map(fresh, pool, (state, timestep.obs))
        total, length = jnp.where(done, 0.0, total), jnp.where(done, 0, length)
        return (Actors(state, obs, done, memory, total, length), ended), step

    zeros = (jnp.zeros(n), jnp.zeros(n, jnp.int32), jnp.zeros(n, jnp.int32))
    (actors, ended), trajectory = jax.lax.scan(one, (actors, zeros), (noise, keys, drawn))
    total, length, count = (x.sum().astype(jnp.float32) for x in ended)
    return actors, trajectory, {"return": (total, count), "length": (length, count)}


def play(
    env: Environment, act: Act, memory: Any, noise: Noise, episodes: Array, mask: Array
) -> tuple[Array, Array]:
    """Return and length, [B] float32, of the episodes with these numbers, int [B].

    An episode depends on the policy and on its number alone: all seeds and all evaluations meet the
    same ones, however they are cut into batches. `memory` is the agents' at a start. Where mask [B]
    is 0 nothing is played.
    """
    root = jax.random.key(EPISODES)
    keys = jax.vmap(lambda number: jax.random.fold_in(root, number))(episodes)
    state, obs = jax.vmap(env.reset)(keys)

    def one(carry):
        time, state, obs, memory, done, total, length = carry
        step = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, time)))(keys)
        drawn = jax.vmap(lambda key: noise(key, ()))(step[:, 0])
        memory, action = act(memory, obs, jnp.full(done.shape, time == 0), drawn)
        state, timestep = jax.vmap(env.step)(step[:, 1], state, action)
        total, length = jnp.where(done, total, total + timestep.reward), length + ~done
        done |= timestep.terminated | timestep.truncated
        return time + 1, state, timestep.obs, memory, done, total, length

    zeros = jnp.zeros(mask.shape)
    first = (jnp.int32(0), state, obs, memory, mask == 0, zeros, zeros.astype(jnp.int32))
    last = jax.lax.while_loop(lambda carry: ~carry[4].all() & (carry[0] < env.limit), one, first)
    return last[5], last[6].astype(jnp.float32)


def evaluate(
    env: Environment, act: Act, memory: Any, noise: Noise, batch: Any, prefix: str = ""
) -> metrics.Sums:
    """Sums of "return" and "length" over the episodes of a masked batch, names with a prefix."""
    total, length = play(env, act, memory, noise, batch["episode"], batch["example_mask"])
    values = {"return": total, "length": length}
    return {prefix + name: metrics.mean(x, batch["example_mask"]) for name, x in values.items()}


def no_noise(key: Key, shape: tuple[int, ...]) -> Array:
    """The noise of a deterministic agent."""
    del key
    return jnp.zeros(shape)


class Recording(NamedTuple):
    """One episode, step by step, up to the environment's limit T.

    states [T, ...]: before each step. trajectory [T, 1, ...]. alive bool [T]: which steps belong to
    the episode.
    """

    states: Any
    trajectory: Trajectory
    alive: Array


def record_episode(
    env: Environment, act: Act, memory: Any, noise: Noise, episode: int
) -> Recording:
    """The episode of that number of `play`, with all its states; memory: of one environment."""
    key = jax.random.fold_in(jax.random.key(EPISODES), episode)
    state, obs = env.reset(key)
    single = lambda tree: jax.tree.map(lambda x: x[None], tree)  # noqa: E731

    def one(carry, time):
        state, obs, memory, alive = carry
        first, second = jax.random.split(jax.random.fold_in(key, time))
        start = jnp.full(1, time == 0)
        memory, action = act(memory, single(obs), start, single(noise(first, ())))
        after, timestep = env.step(second, state, jax.tree.map(lambda x: x[0], action))
        reward, terminated, truncated = single(timestep[1:])
        trajectory = Trajectory(
            single(obs), start, action, reward, terminated, truncated, single(timestep.obs), memory
        )
        ended = timestep.terminated | timestep.truncated
        return (after, timestep.obs, memory, alive & ~ended), (state, trajectory, alive)

    first = (state, obs, memory, jnp.array(True))
    return Recording(*jax.lax.scan(one, first, jnp.arange(env.limit))[1])
