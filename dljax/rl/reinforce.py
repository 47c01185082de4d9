"""REINFORCE with a baseline (Williams 1992), the simplest policy gradient: read this one first.

One step of the task plays one episode in each of N environments, from a fresh start, and makes one
step along the gradient of the mean of

    log pi(a_{t-1} | s_{t-1}) (G_{t-1} - v(s_{t-1}))

over their steps (Sutton and Barto 2018, section 13.4, without the factor gamma^t), where G is the
discounted return and v the baseline, which is fitted to it. Of an episode that a time limit or the
end of the rollout cuts, the return goes on with the baseline of its last state.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from dljax.envs import wrappers
from dljax.envs.environment import Environment
from dljax.rl import policies, returns, rollout
from dljax.rl.networks import ActorCritic
from dljax.rl.policies import Policy
from dljax.train import optim
from dljax.train.loop import Sums, Task


class Settings(NamedTuple):
    """environments: episodes in a step of the task. rollout: steps of each, at most (what is played
    after an episode's end is left out). value_weight, entropy_weight: in the loss. The
    defaults are the flags'.
    """

    environments: int = 16
    rollout: int = 500
    gamma: float = 0.99
    value_weight: float = 0.5
    entropy_weight: float = 0.01


class State(struct.PyTreeNode):
    """Nothing but the network: each step begins its episodes anew."""

    params: Any
    opt_state: Any


def acting(network: ActorCritic, state: State, best: bool = False) -> rollout.Act:
    """Samples from the policy, or takes its most likely action."""

    def act(memory: Any, obs: Array, start: Array, noise: Array) -> tuple[Any, Array]:
        _, (policy, _) = network.apply(state.params, memory, obs, start)
        return memory, policy.mode() if best else policy.sample(noise)

    return act


def task(
    env: Environment,
    network: ActorCritic,
    tx: optax.GradientTransformation,
    settings: Settings,
) -> Task:
    """REINFORCE as a Task: its feed has batches (), its evaluation {"episode", "example_mask"}.

    Evaluation: mean return and length of the greedy policy's episodes, and "sampled_return". The
    network has no recurrent core. Bounded actions are mapped as by `ppo.task`.
    """
    env = wrappers.policy_actions(env)
    s = settings

    def init(key: Array) -> State:
        param_key, reset_key = jax.random.split(key)
        actors = rollout.begin(env, reset_key, 1)
        params = network.init(param_key, (), actors.obs, actors.start)
        return State(params, tx.init(params))

    def step(state: State, batch: Any, key: Array) -> tuple[State, Sums]:
        del batch
        reset_key, noise_key, rollout_key = jax.random.split(key, 3)
        actors = rollout.begin(env, reset_key, s.environments)
        noise = policies.noise(env.action, noise_key, (s.rollout, s.environments))
        act = acting(network, state)
        _, t, _ = rollout.rollout(env, act, actors, rollout_key, noise)
        # Each environment's first episode; what follows its end is left out.
        going = jnp.cumprod(jnp.concatenate([actors.start[None] * 1.0, t.continues()[:-1]]), 0)
        _, v_t = network.apply(state.params, (), t.next_obs, t.start, method="unroll")
        discount_t = s.gamma * (1.0 - t.terminated)
        g = jax.vmap(returns.lambda_returns, 1, 1)(t.reward, discount_t, v_t, t.continues())

        def mean(x: Array) -> Array:
            return (x * going).sum() / going.sum()

        def loss(params: Any) -> tuple[Array, dict[str, Array]]:
            found: tuple[Policy, Array] = network.apply(params, (), t.obs, t.start, method="unroll")
            policy, value = found
            advantage = jax.lax.stop_gradient(g - value)
            policy_loss = -mean(policy.log_prob(t.action) * advantage)
            value_loss, entropy = 0.5 * mean((value - g) ** 2), mean(policy.entropy())
            total = policy_loss + s.value_weight * value_loss - s.entropy_weight * entropy
            metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
            return total, {"loss": total, **metrics}

        gradient, metrics = jax.grad(loss, has_aux=True)(state.params)
        params, opt_state = optim.update(tx, gradient, state.opt_state, state.params)
        metrics["gradient_norm"] = optax.global_norm(gradient)
        sums = {name: (x, jnp.float32(1)) for name, x in metrics.items()}
        sums["return"] = ((t.reward * going).sum(), jnp.float32(s.environments))
        sums["length"] = (going.sum(), jnp.float32(s.environments))
        return State(params, opt_state), sums

    def evaluate(state: State, batch: Any, key: Array) -> Sums:
        del key  # the episodes have their own
        noise = functools.partial(policies.noise, env.action)
        best, sampled = acting(network, state, best=True), acting(network, state)
        return rollout.evaluate(env, best, (), noise, batch) | rollout.evaluate(
            env, sampled, (), noise, batch, "sampled_"
        )

    return Task(init, step, evaluate)
