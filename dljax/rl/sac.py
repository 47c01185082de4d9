"""Soft actor-critic (Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications").

For continuous actions: a policy that is rewarded for its entropy, the minimum of two critics, a
replay memory, and a temperature alpha that keeps the entropy at its target. One step of the task is
T steps of N environments into the memory and some updates on samples of it. The memory is filled
with random play before the first step.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax import Array
from jax.lax import stop_gradient
from jax.sharding import PartitionSpec as P

from dljax.envs import wrappers
from dljax.envs.environment import Discrete, Environment
from dljax.rl import colored_noise, policies, replay, rollout
from dljax.rl.networks import Critics, SquashedActor
from dljax.rl.transitions import Transitions, fits, n_step, no_transitions, transitions
from dljax.train import optim
from dljax.train.loop import Sums, Task


class Settings(NamedTuple):
    """The hyper-parameters.

    environments N, rollout T: what is played in a step of the task. capacity, warmup: transitions
    that the memory holds, and that it is filled with at first. updates, batch_size: gradients in a
    step, and samples in each. gamma: of the returns. tau: share of the critics that their targets
    take over in an update. reward_scale: what rewards are multiplied by to learn. entropy: what the
    policy's is kept at, for each of its actions' dimensions. noise: by which what is played is
    drawn, of `colored_noise.RATES`. The defaults are the flags'.
    """

    environments: int = 4
    rollout: int = 2
    capacity: int = 65_536
    warmup: int = 1024
    updates: int = 8
    batch_size: int = 128
    gamma: float = 0.99
    tau: float = 0.01
    reward_scale: float = 0.1
    entropy: float = -1.0
    noise: str = "pink"


class State(struct.PyTreeNode):
    """params: {"actor", "critics", "log_alpha"}. target: parameters of the target critics.

    noise: the last values of the processes that actions are drawn by, [N, K, D].
    """

    params: Any
    target: Any
    opt_state: Any
    actors: rollout.Actors
    memory: replay.Replay
    noise: Array


def acting(network: SquashedActor, state: State, best: bool = False) -> rollout.Act:
    """Samples from the policy, or takes the middle of it."""

    def act(memory: Any, obs: Array, start: Array, noise: Array) -> tuple[Any, Array]:
        del start
        policy = network.apply(state.params["actor"], obs)
        return memory, policy.mode() if best else policy.sample(noise)

    return act


def _random(memory: Any, obs: Array, start: Array, noise: Array) -> tuple[Any, Array]:
    """Uniform actions, by normal noise."""
    del obs, start
    return memory, 2 * jax.scipy.stats.norm.cdf(noise) - 1


def task(
    env: Environment,
    actor: SquashedActor,
    critics: Critics,
    tx: optax.GradientTransformation,
    settings: Settings,
) -> Task:
    """SAC as a Task: batches of its feed are (), of its evaluation {"episode", "example_mask"}.

    The policy's actions lie in [-1, 1] and are mapped to the bounds of `env`. tx is called
    `updates` times a step, for all three losses together: it must not mix gradients (no clipping by
    a common norm). Evaluation: mean return and length of the episodes of the policy's middle, and
    "sampled_return" of the policy as it learns. Raises ValueError where the sizes of the memory do
    not fit, and for actions that are discrete or have no bounds.
    """
    if isinstance(env.action, Discrete):
        raise ValueError(f"{env.name} has discrete actions, SAC's are continuous: use ppo or dqn")
    env = wrappers.policy_actions(env)
    if np.isinf(env.action.low).any():
        raise ValueError(f"{env.name} has unbounded actions, SAC's lie in [-1, 1]: give Box bounds")
    s, size = settings, env.action.shape[0]
    rates = colored_noise.RATES[s.noise]
    fits(s.environments * s.rollout, s.environments, s.capacity, s.warmup, 1)

    def explore(state: State, act: rollout.Act, key: Array, steps: int) -> tuple[State, Sums]:
        noise_key, rollout_key = jax.random.split(key)
        white = policies.noise(env.action, noise_key, (steps, s.environments, len(rates)))
        last, noise = colored_noise.noise(rates, state.noise, white)
        actors, t, ended = rollout.rollout(env, act, state.actors, rollout_key, noise)
        memory = replay.add(state.memory, transitions(t))
        return state.replace(actors=actors, memory=memory, noise=last), ended

    def init(key: Array) -> State:
        actor_key, critic_key, env_key, warm_key = jax.random.split(key, 4)
        noise_key = jax.random.fold_in(key, 4)
        actors = rollout.begin(env, env_key, s.environments)
        action = jnp.zeros((s.environments, size))
        params = {
            "actor": actor.init(actor_key, actors.obs),
            "critics": critics.init(critic_key, actors.obs, action),
            "log_alpha": jnp.float32(0),
        }
        target = jax.tree.map(jnp.copy, params["critics"])
        like = no_transitions(s.rollout, actors.obs, action)
        memory = replay.empty(s.capacity // s.environments, like)
        noise = policies.noise(env.action, noise_key, (s.environments, len(rates)))
        state = State(params, target, tx.init(params), actors, memory, noise)
        return explore(state, _random, warm_key, s.warmup // s.environments)[0]

    def step(state: State, batch: Any, key: Array) -> tuple[State, Sums]:
        del batch
        play_key, update_key = jax.random.split(key)
        state, ended = explore(state, acting(actor, state), play_key, s.rollout)
        state, metrics = jax.lax.scan(update, state, jax.random.split(update_key, s.updates))
        sums = {name: (x.sum(), jnp.float32(s.updates)) for name, x in metrics.items()}
        return state, sums | ended

    def loss(
        params: Any, target: Any, window: Transitions, key: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The three losses of the paper, each with its own parameters alone to be changed."""
        first, second = jax.random.split(key)
        alpha = stop_gradient(jnp.exp(params["log_alpha"]))
        obs, action = window.obs[0], window.action[0]
        # Critics, equations 5 and 6: the lower one's value of the next action, and its entropy.
        reward, discount, last = n_step(window, s.gamma)
        noise = jax.random.normal(first, action.shape)
        a_t, log_p_t = actor.apply(params["actor"], last).sample_and_log_prob(noise)
        v_t = critics.apply(target, last, a_t).min(0) - alpha * log_p_t
        goal = stop_gradient(s.reward_scale * reward + discount * v_t)
        q = critics.apply(params["critics"], obs, action)
        critic_loss = 0.5 * ((q - goal) ** 2).mean(1).sum()
        # Policy, equation 9.
        noise = jax.random.normal(second, action.shape)
        chosen, log_p = actor.apply(params["actor"], obs).sample_and_log_prob(noise)
        q_chosen = critics.apply(stop_gradient(params["critics"]), obs, chosen).min(0)
        policy_loss = (alpha * log_p - q_chosen).mean()
        # Temperature, equation 18, with log alpha for alpha as is usual.
        lack = stop_gradient(log_p + s.entropy * size).mean()
        total = critic_loss + policy_loss - params["log_alpha"] * lack
        return total, {
            "loss": critic_loss,
            "policy_loss": policy_loss,
            "entropy": -log_p.mean(),
            "alpha": alpha,
            "q": q.mean(),
        }

    def update(state: State, key: Array) -> tuple[State, dict[str, Array]]:
        sample_key, loss_key = jax.random.split(key)
        window = replay.sample(state.memory, sample_key, s.batch_size)
        gradient, metrics = jax.grad(loss, has_aux=True)(
            state.params, state.target, window, loss_key
        )
        params, opt_state = optim.update(tx, gradient, state.opt_state, state.params)
        target = optax.incremental_update(params["critics"], state.target, s.tau)
        metrics["gradient_norm"] = optax.global_norm(gradient)
        return state.replace(params=params, target=target, opt_state=opt_state), metrics

    def evaluate(state: State, batch: Any, key: Array) -> Sums:
        del key  # the episodes have their own
        noise = functools.partial(policies.noise, env.action)
        best, sampled = acting(actor, state, best=True), acting(actor, state)
        return rollout.evaluate(env, best, (), noise, batch) | rollout.evaluate(
            env, sampled, (), noise, batch, "sampled_"
        )

    return Task(init, step, evaluate, State(P(), P(), P(), P("data"), P(), P("data")))
