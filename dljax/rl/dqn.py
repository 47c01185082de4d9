"""Deep Q-learning with a replay memory (Mnih et al. 2015) and what was added to it.

Double (van Hasselt et al. 2016), prioritised replay (Schaul et al. 2016) and n-step returns are
settings; duelling heads (Wang et al. 2016) and the quantiles of returns (Dabney et al. 2018) are
the network's. One step of the task is T steps of N environments into the memory and some updates on
samples of it. The memory is part of the state: a run resumes with it. It is filled with random play
before the first step.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array
from jax.sharding import PartitionSpec as P

from dljax.envs import wrappers
from dljax.envs.environment import Environment
from dljax.rl import exploration, replay, rollout
from dljax.rl.networks import ActionValues
from dljax.rl.transitions import fits, n_step, no_transitions, transitions
from dljax.train import optim
from dljax.train.loop import Sums, Task


class Settings(NamedTuple):
    """The hyper-parameters.

    environments N, rollout T: what is played in a step of the task. capacity, warmup: transitions
    that the memory holds, and that it is filled with at first. updates, batch_size: gradients in a
    step, and windows in each. gamma, n: of the returns. double: the online network chooses the
    action that the target network values. target_every: updates between copies to the target
    network. epsilon: share of random actions, from its first value to its last one during
    `exploration` steps of the task. alpha: priorities to this power, 0 for a uniform memory. beta:
    power of the importance weights. The defaults are the flags'.
    """

    environments: int = 8
    rollout: int = 4
    capacity: int = 32_768
    warmup: int = 2048
    updates: int = 4
    batch_size: int = 128
    gamma: float = 0.99
    n: int = 3
    double: bool = True
    target_every: int = 50
    epsilon: tuple[float, float] = (1.0, 0.05)
    exploration: int = 1000
    alpha: float = 0.0
    beta: float = 0.4


class State(struct.PyTreeNode):
    """target: parameters of the target network. updates, count: updates
    and steps of the task done, int32 []."""

    params: Any
    target: Any
    opt_state: Any
    actors: rollout.Actors
    memory: replay.Replay | replay.Prioritised
    updates: Array
    count: Array


def task(
    env: Environment,
    network: ActionValues,
    tx: optax.GradientTransformation,
    settings: Settings,
) -> Task:
    """DQN as a Task: batches of its feed are (), of its evaluation {"episode", "example_mask"}.

    tx is called `updates` times a step. Evaluation: mean return and length of the greedy policy's
    episodes. Raises ValueError where the sizes of the memory do not fit.
    """
    env, s = wrappers.discrete_actions(env), settings
    played = s.environments * s.rollout
    fits(played, s.environments, s.capacity, s.warmup, s.n)

    def explore(state: State, epsilon: Array, key: Array, steps: int) -> tuple[State, Sums]:
        """Plays, and remembers what happened."""
        noise_key, rollout_key = jax.random.split(key)
        act = exploration.exploring(network, state.params, epsilon)
        noise = jax.random.uniform(noise_key, (steps, s.environments, 2))
        actors, t, ended = rollout.rollout(env, act, state.actors, rollout_key, noise)
        if s.alpha:
            memory = replay.add_prioritised(state.memory, transitions(t), s.alpha)
        else:
            memory = replay.add(state.memory, transitions(t))
        return state.replace(actors=actors, memory=memory), ended

    def init(key: Array) -> State:
        param_key, actor_key, warm_key = jax.random.split(key, 3)
        actors = rollout.begin(env, actor_key, s.environments)
        params = network.init(param_key, actors.obs)
        like = no_transitions(s.rollout, actors.obs, jnp.zeros(s.environments, jnp.int32))
        memory = replay.empty(s.capacity // s.environments, like)
        if s.alpha:
            memory = replay.prioritised(memory)
        target = jax.tree.map(jnp.copy, params)
        state = State(params, target, tx.init(params), actors, memory, *[jnp.int32(0)] * 2)
        return explore(state, jnp.float32(1), warm_key, s.warmup // s.environments)[0]

    def step(state: State, batch: Any, key: Array) -> tuple[State, Sums]:
        del batch
        play_key, update_key = jax.random.split(key)
        epsilon = exploration.epsilon(s.epsilon, s.exploration, state.count)
        state, ended = explore(state, epsilon, play_key, s.rollout)
        keys = jax.random.split(update_key, s.updates)
        state, metrics = jax.lax.scan(update, state, keys)
        sums = {name: (x.sum(), jnp.float32(s.updates)) for name, x in metrics.items()}
        return state.replace(count=state.count + 1), sums | ended

    def update(state: State, key: Array) -> tuple[State, dict[str, Array]]:
        importance = jnp.ones(s.batch_size)
        if s.alpha:
            window, importance, place = replay.sample_prioritised(
                state.memory, key, s.batch_size, s.beta, s.n
            )
        else:
            window = replay.sample(state.memory, key, s.batch_size, s.n)
        total, discount, last = n_step(window, s.gamma)
        theta_t = network.apply(state.target, last, method="distribution")
        choosing = network.apply(state.params, last) if s.double else theta_t.mean(-1)
        theta_t = _of_action(theta_t, choosing.argmax(-1))
        target = total[:, None] + discount[:, None] * theta_t

        def loss(params):
            theta = network.apply(params, window.obs[0], method="distribution")
            theta = _of_action(theta, window.action[0])
            q = theta.mean(-1)
            error = q - target.mean(-1)
            return (importance * quantile_loss(theta, target)).mean(), (error, q.mean())

        (value, (error, q)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        params, opt_state = optim.update(tx, gradient, state.opt_state, state.params)
        memory = state.memory
        if s.alpha:
            memory = replay.reprioritise(memory, place, error, s.alpha)
        done = state.updates + 1
        copied = jax.tree.map(
            lambda old, new: jnp.where(done % s.target_every == 0, new, old), state.target, params
        )
        state = State(params, copied, opt_state, state.actors, memory, done, state.count)
        return state, {"loss": value, "q": q, "gradient_norm": optax.global_norm(gradient)}

    def evaluate(state: State, batch: Any, key: Array) -> Sums:
        del key  # the episodes have their own
        act = exploration.greedy(network, state.params)
        return rollout.evaluate(env, act, (), rollout.no_noise, batch)

    return Task(init, step, evaluate, State(P(), P(), P(), P("data"), P(), P(), P()))


def quantile_loss(theta: Array, target: Array) -> Array:
    """Quantile Huber loss [B] of quantiles [B, K] towards those of the next state [B, J].

    Source: Dabney et al. 2018, equation 10 with kappa 1, where theta_i is the quantile of
    tau_i = (i - 1/2) / K; times two, so that of a single one it is DQN's Huber loss.
    """
    k = theta.shape[-1]
    tau = (jnp.arange(k)[:, None] + 0.5) / k
    u = target[:, None, :] - theta[:, :, None]
    weight = 2 * jnp.abs(tau - (u < 0))
    return (weight * optax.huber_loss(u)).mean(-1).sum(-1)


def _of_action(theta: Array, action: Array) -> Array:
    """theta [B, n, K] of the actions [B]; no gather, whose gradient is a slow scatter."""
    return (theta * jax.nn.one_hot(action, theta.shape[1])[..., None]).sum(1)
