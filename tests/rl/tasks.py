"""Tiny agents for the contract of tasks: 16 environments whose values are 1 and -1."""

from functools import partial

import optax

from dljax.rl import dqn, networks, ppo, pqn, sac
from dljax.train.loop import Task
from tests.rl import probes

ENV = probes.seen()
MLP = partial(networks.MLP, (8,))


def recurrent_ppo() -> Task:
    network = networks.ActorCritic(ENV.action, MLP, shared=True, core=networks.Core(8))
    settings = ppo.Settings(
        environments=16, rollout=4, epochs=2, minibatches=2, entropy_weight=0.0, target_kl=0.05,
        value_clip=0.2, normalize_observations=True, scale_rewards=True,
    )  # fmt: skip
    return ppo.task(ENV, network, optax.adam(1e-2), settings)


def q_network() -> networks.ActionValues:
    return networks.ActionValues(ENV.action, MLP, duelling=True)


def pqn_task() -> Task:
    settings = pqn.Settings(
        environments=16, rollout=4, epochs=2, minibatches=2, exploration=20, reward_scale=1.0
    )
    return pqn.task(ENV, q_network(), optax.adam(1e-2), settings)


def prioritised_dqn() -> Task:
    settings = dqn.Settings(
        environments=16, rollout=2, capacity=128, warmup=64, updates=2, batch_size=16,
        target_every=5, exploration=20, alpha=0.6, n=2,
    )  # fmt: skip
    return dqn.task(ENV, q_network(), optax.adam(1e-2), settings)


def sac_task() -> Task:
    env = probes.aimed()
    settings = sac.Settings(
        environments=16, rollout=2, capacity=128, warmup=64, updates=2, batch_size=16
    )
    actor, critics = networks.SquashedActor(env.action, MLP), networks.Critics(MLP)
    return sac.task(env, actor, critics, optax.adam(1e-2), settings)
