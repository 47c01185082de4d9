"""Proximal policy optimisation (Schulman et al. 2017), feed-forward or recurrent.

One step of the task is a rollout of N environments over T steps, and some epochs of minibatches on
it. What makes PPO work beside its paper is in Huang et al. 2022, "The 37 implementation details".
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array
from jax.sharding import PartitionSpec as P

from dljax.envs import wrappers
from dljax.envs.environment import Environment
from dljax.rl import batches, normalization, policies, returns, rollout
from dljax.rl.networks import ActorCritic
from dljax.train import optim
from dljax.train.loop import Sums, Task


class Settings(NamedTuple):
    """The hyper-parameters, in the order in which they act.

    environments N, rollout T: size of a rollout. gamma, lambda_: of the advantages. epochs,
    minibatches: uses of a rollout, parts of it (a recurrent network's minibatch is whole sequences
    of some environments). clip: of the ratio. value_clip: of the value's change, 0 for none.
    value_weight, entropy_weight: in the loss. normalize_advantages: in each minibatch. target_kl:
    no more updates in this rollout when the policy has gone 1.5 times so far, 0 for no limit.
    normalize_observations, scale_rewards: by running statistics. The defaults are the flags'.
    """

    environments: int = 16
    rollout: int = 128
    gamma: float = 0.99
    lambda_: float = 0.95
    epochs: int = 4
    minibatches: int = 8
    clip: float = 0.2
    value_clip: float = 0.0
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    normalize_advantages: bool = True
    target_kl: float = 0.0
    normalize_observations: bool = True
    scale_rewards: bool = True


class State(struct.PyTreeNode):
    """moments, scale: running statistics of observations and rewards, () where not asked for."""

    params: Any
    opt_state: Any
    actors: rollout.Actors
    moments: Any
    scale: Any


class Samples(NamedTuple):
    """What a minibatch learns from, arrays [T, n] (feed-forward: [n])."""

    obs: Array
    start: Array
    action: Array
    log_prob: Array
    value: Array
    advantage: Array
    target: Array


def _normalized(settings: Settings, moments: Any, obs: Array) -> Array:
    return normalization.normalized(moments, obs) if settings.normalize_observations else obs


def acting(
    network: ActorCritic, settings: Settings, state: State, best: bool = False
) -> rollout.Act:
    """Samples from the policy, or takes its most likely action."""

    def act(memory: Any, obs: Array, start: Array, noise: Array) -> tuple[Any, Array]:
        obs = _normalized(settings, state.moments, obs)
        memory, (policy, _) = network.apply(state.params, memory, obs, start)
        return memory, policy.mode() if best else policy.sample(noise)

    return act


def task(
    env: Environment,
    network: ActorCritic,
    tx: optax.GradientTransformation,
    settings: Settings,
) -> Task:
    """PPO as a Task: batches of its feed are (), of its evaluation {"episode", "example_mask"}.

    tx is called epochs * minibatches times a step. Evaluation: mean return and length of the greedy
    policy's episodes, and "sampled_return" of the policy as it learns. Of bounded actions the
    policy has [-1, 1], mapped to the bounds of `env` (`wrappers.policy_actions`: play in that).
    Raises ValueError where the minibatches do not divide what they are made of, and for bounds on
    one side only.
    """
    env = wrappers.policy_actions(env)
    s, recurrent = settings, network.core is not None
    whole = s.environments if recurrent else s.environments * s.rollout
    if whole % s.minibatches:
        unit = "environments" if recurrent else "samples of a rollout"
        raise ValueError(f"{s.minibatches} minibatches do not divide the {whole} {unit}")

    def init(key: Array) -> State:
        param_key, actor_key = jax.random.split(key)
        n = s.environments
        actors = rollout.begin(env, actor_key, n, network.begin(n))
        params = network.init(param_key, actors.memory, actors.obs, actors.start)
        moments = normalization.no_moments(env.observation.shape)
        return State(
            params,
            tx.init(params),
            actors,
            normalization.update(moments, actors.obs) if s.normalize_observations else (),
            normalization.no_scale(n) if s.scale_rewards else (),
        )

    def step(state: State, batch: Any, key: Array) -> tuple[State, Sums]:
        del batch
        noise_key, rollout_key, update_key = jax.random.split(key, 3)
        noise = policies.noise(env.action, noise_key, (s.rollout, s.environments))
        actors, trajectory, ended = rollout.rollout(
            env, acting(network, s, state), state.actors, rollout_key, noise
        )
        scale, reward = state.scale, trajectory.reward
        if s.scale_rewards:
            done = trajectory.continues() == 0
            scale, reward = normalization.scaled(scale, reward, done, s.gamma)
        samples = learn_from(state, trajectory, reward)
        memory = state.actors.memory
        if not recurrent:
            samples = batches.flat(samples)
        params, opt_state, sums = update(state.params, state.opt_state, memory, samples, update_key)
        moments = state.moments
        if s.normalize_observations:  # of the next rollout: within one, all see alike
            moments = normalization.update(moments, trajectory.obs)
        return State(params, opt_state, actors, moments, scale), sums | ended

    def learn_from(state: State, t: rollout.Trajectory, reward: Array) -> Samples:
        """Advantages and targets; a truncated episode is worth the value of its last state."""
        obs = _normalized(s, state.moments, t.obs)
        policy, v_tm1 = network.apply(
            state.params, state.actors.memory, obs, t.start, method="unroll"
        )
        memory, next_obs = batches.flat((t.memory, t.next_obs))
        next_obs = _normalized(s, state.moments, next_obs)
        started = jnp.zeros(reward.size, bool)
        _, (_, v_t) = network.apply(state.params, memory, next_obs, started)
        advantage = jax.vmap(returns.gae, 1, 1)(
            reward,
            s.gamma * (1.0 - t.terminated),
            v_tm1,
            v_t.reshape(reward.shape),
            s.lambda_ * t.continues(),
        )
        log_prob = policy.log_prob(t.action)
        return Samples(obs, t.start, t.action, log_prob, v_tm1, advantage, advantage + v_tm1)

    def loss(params: Any, memory: Any, x: Samples) -> tuple[Array, dict[str, Array]]:
        policy, value = network.apply(params, memory, x.obs, x.start, method="unroll")
        log_ratio = policy.log_prob(x.action) - x.log_prob
        ratio = jnp.exp(log_ratio)
        advantage = x.advantage
        if s.normalize_advantages:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        surrogate = jnp.minimum(
            ratio * advantage, jnp.clip(ratio, 1 - s.clip, 1 + s.clip) * advantage
        )  # equation 7
        error = (value - x.target) ** 2
        if s.value_clip:
            near = x.value + jnp.clip(value - x.value, -s.value_clip, s.value_clip)
            error = jnp.maximum(error, (near - x.target) ** 2)
        policy_loss, value_loss = -surrogate.mean(), 0.5 * error.mean()
        entropy = policy.entropy().mean()
        total = policy_loss + s.value_weight * value_loss - s.entropy_weight * entropy
        return total, {
            "loss": total,
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "kl": (ratio - 1 - log_ratio).mean(),  # k3 of Schulman 2020
            "clipped": (jnp.abs(ratio - 1) > s.clip).mean(),
        }

    def update(
        params: Any, opt_state: Any, memory: Any, samples: Samples, key: Array
    ) -> tuple[Any, Any, Sums]:
        """Epochs over the rollout, in minibatches of environments or, feed-forward, of samples."""

        def one(carry, chosen):
            params, opt_state, near = carry
            x = jax.tree.map(lambda x: x[:, chosen] if recurrent else x[chosen], samples)
            h = jax.tree.map(lambda x: x[chosen], memory)
            gradient, metrics = jax.grad(loss, has_aux=True)(params, h, x)
            new = optim.update(tx, gradient, opt_state, params)
            metrics["gradient_norm"] = optax.global_norm(gradient)
            weight = jnp.float32(1)
            if s.target_kl:
                near &= metrics["kl"] <= 1.5 * s.target_kl
                new = jax.tree.map(
                    lambda new, old: jnp.where(near, new, old), new, (params, opt_state)
                )
                weight = near.astype(jnp.float32)
            return (*new, near), (metrics, weight)

        chosen = batches.shuffled(key, whole, s.epochs, s.minibatches)
        first = (params, opt_state, jnp.array(True))
        (params, opt_state, _), (metrics, weight) = jax.lax.scan(one, first, chosen)
        total = jnp.float32(s.epochs * s.minibatches)
        sums = {name: (x.sum(), total) for name, x in metrics.items()}
        if s.target_kl:
            sums["used"] = (weight.sum(), total)
        return params, opt_state, sums

    def evaluate(state: State, batch: Any, key: Array) -> Sums:
        del key  # the episodes have their own
        memory = network.begin(len(batch["example_mask"]))

        noise = functools.partial(policies.noise, env.action)
        best, sampled = acting(network, s, state, best=True), acting(network, s, state)
        return rollout.evaluate(env, best, memory, noise, batch) | rollout.evaluate(
            env, sampled, memory, noise, batch, "sampled_"
        )

    spec = State(P(), P(), P("data"), P(), P())
    return Task(init, step, evaluate, spec)
