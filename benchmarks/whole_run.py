"""PPO in the arrangement of PureJaxRL (Lu et al. 2022): a whole training as one function of a key.

Written for the comparison in rl.py, with that project's settings for CartPole-v1 and its choices:
gymnax's own step (which computes a reset at every step), networks applied and random numbers drawn
step by step, truncation taken for termination, and the episode statistics of every step of every
environment kept to the end of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import gymnax
import jax
import jax.numpy as jnp
import optax
from jax import Array

ENVIRONMENTS, ROLLOUT, EPOCHS, MINIBATCHES = 4, 128, 4, 4
RATE, GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, NORM = 2.5e-4, 0.99, 0.95, 0.2, 0.01, 0.5, 0.5


class Network(nn.Module):
    """Logits and value [...], each by two layers of 64 tanh units of its own."""

    actions: int

    @nn.compact
    def __call__(self, obs: Array) -> tuple[Array, Array]:
        def dense(features, gain):
            return nn.Dense(features, kernel_init=nn.initializers.orthogonal(gain))

        def torso(x):
            x = nn.tanh(dense(64, 2**0.5)(x))
            return nn.tanh(dense(64, 2**0.5)(x))

        logits = dense(self.actions, 0.01)(torso(obs))
        return logits, dense(1, 1.0)(torso(obs))[..., 0]


class Transition(NamedTuple):
    """What a step of all environments leaves, [T, N, ...]; total: return of an ended episode."""

    obs: Array
    action: Array
    log_prob: Array
    value: Array
    reward: Array
    done: Array
    total: Array


def training(updates: int) -> Callable[[Array], tuple[Any, tuple[Array, Array]]]:
    """The function key -> (parameters, (done, total) [updates, T, N]) to be jitted whole."""
    env, env_params = gymnax.make("CartPole-v1")
    network = Network(env.num_actions)
    calls = updates * EPOCHS * MINIBATCHES
    tx = optax.chain(
        optax.clip_by_global_norm(NORM),
        optax.adam(optax.linear_schedule(RATE, 0.0, calls), eps=1e-5),
    )

    def act(params, obs, key):
        logits, value = network.apply(params, obs)
        log_p = jax.nn.log_softmax(logits)
        action = jax.random.categorical(key, logits)
        return action, jnp.take_along_axis(log_p, action[..., None], -1)[..., 0], value

    def env_step(params, carry, _):
        state, obs, total, key = carry
        key, act_key, step_key = jax.random.split(key, 3)
        action, log_prob, value = act(params, obs, act_key)
        keys = jax.random.split(step_key, ENVIRONMENTS)
        step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
        next_obs, state, reward, terminated, truncated, _ = step(keys, state, action, env_params)
        done = terminated | truncated
        total += reward
        transition = Transition(
            obs, action, log_prob, value, reward, done, jnp.where(done, total, 0.0)
        )
        return (state, next_obs, jnp.where(done, 0.0, total), key), transition

    def advantages(transition: Transition, last: Array) -> Array:
        def backwards(carry, x):
            advantage, next_value = carry
            going = 1.0 - x.done
            delta = x.reward + GAMMA * next_value * going - x.value
            advantage = delta + GAMMA * LAMBDA * going * advantage
            return (advantage, x.value), advantage

        start = (jnp.zeros_like(last), last)
        return jax.lax.scan(backwards, start, transition, reverse=True, unroll=16)[1]

    def loss(params, transition: Transition, advantage: Array, target: Array) -> Array:
        logits, value = network.apply(params, transition.obs)
        log_p = jax.nn.log_softmax(logits)
        log_prob = jnp.take_along_axis(log_p, transition.action[..., None], -1)[..., 0]
        near = transition.value + jnp.clip(value - transition.value, -CLIP, CLIP)
        value_loss = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
        ratio = jnp.exp(log_prob - transition.log_prob)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped = jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage
        entropy = -(jnp.exp(log_p) * log_p).sum(-1).mean()
        policy_loss = -jnp.minimum(ratio * advantage, clipped).mean()
        return policy_loss + VALUE * value_loss - ENTROPY * entropy

    def epoch(carry, _):
        params, opt_state, samples, key = carry
        key, order_key = jax.random.split(key)
        order = jax.random.permutation(order_key, ENVIRONMENTS * ROLLOUT)
        parts = jax.tree.map(
            lambda x: jnp.take(x, order, axis=0).reshape(MINIBATCHES, -1, *x.shape[1:]), samples
        )

        def descend(carry, part):
            params, opt_state = carry
            gradient = jax.grad(loss)(params, *part)
            updates, opt_state = tx.update(gradient, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        (params, opt_state), _ = jax.lax.scan(descend, (params, opt_state), parts)
        return (params, opt_state, samples, key), None

    def update(carry, _):
        params, opt_state, state, obs, total, key = carry
        acting = (state, obs, total, key)
        (state, obs, total, key), transition = jax.lax.scan(
            lambda c, x: env_step(params, c, x), acting, None, ROLLOUT
        )
        _, last = network.apply(params, obs)
        advantage = advantages(transition, last)
        samples = jax.tree.map(
            lambda x: x.reshape(-1, *x.shape[2:]),
            (transition, advantage, advantage + transition.value),
        )
        carry = (params, opt_state, samples, key)
        (params, opt_state, _, key), _ = jax.lax.scan(epoch, carry, None, EPOCHS)
        return (params, opt_state, state, obs, total, key), (transition.done, transition.total)

    def train(key):
        key, param_key, reset_key = jax.random.split(key, 3)
        params = network.init(param_key, jnp.zeros(env.observation_space(env_params).shape))
        reset = jax.vmap(env.reset, in_axes=(0, None))
        obs, state = reset(jax.random.split(reset_key, ENVIRONMENTS), env_params)
        first = (params, tx.init(params), state, obs, jnp.zeros(ENVIRONMENTS), key)
        (params, *_), episodes = jax.lax.scan(update, first, None, updates)
        return params, episodes

    return train
