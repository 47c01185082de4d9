"""PQN, parallelised Q-learning (Gallici et al. 2024): no replay memory, no target network.

One step of the task is a rollout of N environments over T steps, and some epochs of minibatches on
its lambda-returns. What keeps it stable instead is LayerNorm in the network and many environments.
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
from dljax.rl import batches, exploration, returns, rollout
from dljax.rl.networks import ActionValues
from dljax.train import optim
from dljax.train.loop import Sums, Task


class Settings(NamedTuple):
    """The hyper-parameters, in the order in which they act.

    environments N, rollout T: size of a rollout. epsilon: share of random actions, from its first
    value to its last one during `exploration` steps of the task. reward_scale: what rewards are
    multiplied by to learn. gamma, lambda_: of the returns. epochs, minibatches: uses of a rollout,
    parts of it. The defaults are the flags'.
    """

    environments: int = 32
    rollout: int = 64
    epsilon: tuple[float, float] = (1.0, 0.2)
    exploration: int = 50
    reward_scale: float = 0.1
    gamma: float = 0.99
    lambda_: float = 0.95
    epochs: int = 4
    minibatches: int = 16


class State(struct.PyTreeNode):
    """count: steps of the task done, int32 []."""

    params: Any
    opt_state: Any
    actors: rollout.Actors
    count: Array


def task(
    env: Environment,
    network: ActionValues,
    tx: optax.GradientTransformation,
    settings: Settings,
) -> Task:
    """PQN as a Task: batches of its feed are (), of its evaluation {"episode", "example_mask"}.

    tx is called epochs * minibatches times a step. Evaluation: mean return and length of the greedy
    policy's episodes. Raises ValueError where the minibatches do not divide a rollout.
    """
    env, s = wrappers.discrete_actions(env), settings
    whole = s.environments * s.rollout
    if whole % s.minibatches:
        raise ValueError(f"{s.minibatches} minibatches do not divide a rollout's {whole} samples")

    def init(key: Array) -> State:
        param_key, actor_key = jax.random.split(key)
        actors = rollout.begin(env, actor_key, s.environments)
        params = network.init(param_key, actors.obs)
        return State(params, tx.init(params), actors, jnp.int32(0))

    def step(state: State, batch: Any, key: Array) -> tuple[State, Sums]:
        del batch
        noise_key, rollout_key, update_key = jax.random.split(key, 3)
        epsilon = exploration.epsilon(s.epsilon, s.exploration, state.count)
        act = exploration.exploring(network, state.params, epsilon)
        noise = jax.random.uniform(noise_key, (s.rollout, s.environments, 2))
        actors, t, ended = rollout.rollout(env, act, state.actors, rollout_key, noise)
        q_t = network.apply(state.params, t.next_obs).max(-1)
        target = jax.vmap(returns.lambda_returns, 1, 1)(
            s.reward_scale * t.reward,
            s.gamma * (1.0 - t.terminated),
            q_t,
            s.lambda_ * t.continues(),
        )
        samples = batches.flat((t.obs, t.action, target))
        params, opt_state, sums = update(state.params, state.opt_state, samples, update_key)
        return State(params, opt_state, actors, state.count + 1), sums | ended

    def loss(params: Any, obs: Array, action: Array, target: Array) -> tuple[Array, Array]:
        q = network.apply(params, obs)
        chosen = (q * jax.nn.one_hot(action, q.shape[-1])).sum(-1)
        return 0.5 * ((chosen - target) ** 2).mean(), chosen.mean()

    def update(params: Any, opt_state: Any, samples: Any, key: Array) -> tuple[Any, Any, Sums]:
        def one(carry, chosen):
            params, opt_state = carry
            x = jax.tree.map(lambda x: x[chosen], samples)
            (value, q), gradient = jax.value_and_grad(loss, has_aux=True)(params, *x)
            params, opt_state = optim.update(tx, gradient, opt_state, params)
            metrics = {"loss": value, "q": q, "gradient_norm": optax.global_norm(gradient)}
            return (params, opt_state), metrics

        chosen = batches.shuffled(key, whole, s.epochs, s.minibatches)
        (params, opt_state), metrics = jax.lax.scan(one, (params, opt_state), chosen)
        return params, opt_state, {n: (x.sum(), jnp.float32(len(x))) for n, x in metrics.items()}

    def evaluate(state: State, batch: Any, key: Array) -> Sums:
        del key  # the episodes have their own

        act = exploration.greedy(network, state.params)
        return rollout.evaluate(env, act, (), rollout.no_noise, batch)

    return Task(init, step, evaluate, State(P(), P(), P("data"), P()))
