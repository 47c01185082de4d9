"""What an agent keeps does not grow with what it has played."""

import jax
import numpy as np
import optax
import pytest

from dljax.rl import dqn, ppo
from dljax.rl.networks import ActionValues, ActorCritic
from tests.rl.tasks import ENV, MLP


def ppo_task(environments, rollout):
    settings = ppo.Settings(environments=environments, rollout=rollout)
    return ppo.task(ENV, ActorCritic(ENV.action, MLP), optax.adam(1e-3), settings)


def dqn_task(environments, rollout):
    settings = dqn.Settings(
        environments=environments, rollout=rollout, capacity=1024, warmup=512, batch_size=8
    )
    return dqn.task(ENV, ActionValues(ENV.action, MLP), optax.adam(1e-3), settings)


@pytest.mark.parametrize("make", [ppo_task, dqn_task])
def test_metrics_and_state_do_not_grow(make):
    """Of a step there remain scalars; the state knows environments, but nothing of a rollout."""

    def shapes(environments, rollout):
        task, key = make(environments, rollout), jax.random.key(0)
        state = jax.eval_shape(task.init, key)
        return state, jax.eval_shape(task.step, state, (), key)[1]

    short, long, wide = shapes(4, 4), shapes(4, 32), shapes(16, 4)
    for _, sums in (short, long, wide):
        assert {x.shape for x in jax.tree.leaves(sums)} == {()}
    size = [
        sum(int(np.prod(x.shape)) for x in jax.tree.leaves(state)) for state, _ in (short, long)
    ]
    assert size[0] == size[1]
