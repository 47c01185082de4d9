"""Every algorithm on the probes: values and actions that are known, to most of several seeds."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dljax.data import feed
from dljax.envs.environment import Box, Environment, Step
from dljax.rl import dqn, networks, policies, ppo, pqn, reinforce, rollout, sac
from dljax.train import loop, metrics
from tests.helpers import SEEDS, assert_close, devices, episodes, most, run_steps
from tests.rl import probes

GAMMA = 0.9
PROBES = [
    probes.one(), probes.seen(), probes.delayed(), probes.chosen(), probes.matched(), probes.cut()
]  # fmt: skip
MIXTURE = probes.mixture(PROBES)
MLP = partial(networks.MLP, (32,))
PLAIN = {"normalize_observations": False, "scale_rewards": False}


class Learned(NamedTuple):
    """What the seeds of an algorithm know of an observation: value and best action [seeds]."""

    value: jax.Array
    action: jax.Array


def trained(task, steps):
    """The states of all seeds, [seeds, ...], and their scores [seeds]."""
    placement = devices(1, vmap=True)
    run, _ = run_steps(task, feed.empty(), placement, SEEDS, [steps])
    scores = metrics.scalars(loop.evaluate(task, run, episodes(60, 32), placement))
    return run.states, scores


def by_reinforce():
    settings = reinforce.Settings(environments=128, rollout=3, gamma=GAMMA)
    network = networks.ActorCritic(MIXTURE.action, MLP)
    states, scores = trained(reinforce.task(MIXTURE, network, optax.adam(5e-3), settings), 800)
    return by_policy(network, states), scores


def by_policy(network, states):
    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    def know(params, obs):
        _, (policy, value) = network.apply(params, (), obs[None], jnp.ones(1, bool))
        return Learned(value[0], policy.mode()[0])

    return partial(know, states.params)


def by_ppo():
    settings = ppo.Settings(
        environments=64, rollout=8, gamma=GAMMA, minibatches=4, entropy_weight=0.01,
        normalize_observations=False, scale_rewards=False,
    )  # fmt: skip
    network = networks.ActorCritic(MIXTURE.action, MLP)
    states, scores = trained(ppo.task(MIXTURE, network, optax.adam(5e-3), settings), 80)
    return by_policy(network, states), scores


def by_pqn():
    settings = pqn.Settings(
        environments=64, rollout=8, gamma=GAMMA, exploration=40, minibatches=4, reward_scale=1.0
    )
    network = networks.ActionValues(MIXTURE.action, partial(MLP, norm=True))
    return by_q(network, pqn.task(MIXTURE, network, optax.adam(5e-3), settings), 100)


def by_dqn(quantiles=1, **changes):
    settings = dqn.Settings(
        environments=16, rollout=2, capacity=4096, warmup=1024, updates=2, gamma=GAMMA,
        target_every=20, exploration=300, **{"n": 1, **changes},
    )  # fmt: skip
    network = networks.ActionValues(MIXTURE.action, MLP, bool(changes), quantiles)
    return by_q(network, dqn.task(MIXTURE, network, optax.adam(3e-3), settings), 600)


def by_q(network, task, steps):
    states, scores = trained(task, steps)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    def know(params, obs):
        q = network.apply(params, obs)
        return Learned(q.max(), q.argmax())

    return partial(know, states.params), scores


ALGORITHMS = {
    "reinforce": by_reinforce,
    "ppo": by_ppo,
    "pqn": by_pqn,
    "dqn": by_dqn,
    "dqn_duelling_prioritised_3_step_of_quantiles": partial(by_dqn, quantiles=8, alpha=0.6, n=3),
}


@pytest.fixture(scope="module", params=ALGORITHMS)
def learned(request):
    return ALGORITHMS[request.param]()


@pytest.mark.parametrize(
    "name, obs, value",
    [
        ("one", 0, 1),
        ("seen", 1, 1),
        ("seen", -1, -1),
        ("delayed", 1, 1),
        ("delayed", 0, GAMMA),
        ("chosen", 0, 1),
        ("matched", 1, 1),
        ("matched", -1, 1),
        ("cut", 0, 1 / (1 - GAMMA)),
    ],
)
def test_value(learned, name, obs, value):
    found = learned[0](probes.code(PROBES, name, obs)).value
    assert most(abs(found - value) < 0.05 * max(abs(value), 2)), found


@pytest.mark.parametrize(
    "name, obs, action", [("chosen", 0, 1), ("matched", 1, 1), ("matched", -1, 0)]
)
def test_action(learned, name, obs, action):
    assert most(learned[0](probes.code(PROBES, name, obs)).action == action)


def test_evaluation_plays_whole_episodes_of_the_greedy_policy(learned):
    """Of the 60 episodes each returns 1, but those that are cut return 3, and seen ones 1 or -1."""
    state, _ = jax.vmap(MIXTURE.reset)(
        jax.vmap(lambda n: jax.random.fold_in(jax.random.key(0xE1150DE5), n))(jnp.arange(60))
    )
    names = [PROBES[i].name for i in np.asarray(state.which)]
    signs = np.asarray(state.place.sign)
    returns = [{"cut": 3, "seen": sign}.get(n, 1) for n, sign in zip(names, signs, strict=True)]
    lengths = [{"cut": 3, "delayed": 2}.get(n, 1) for n in names]
    scores = learned[1]
    assert most(np.isclose(scores["return"], np.mean(returns), rtol=1e-6)), scores["return"]
    np.testing.assert_allclose(scores["length"], np.mean(lengths), rtol=1e-6)


def test_a_continuous_action_is_aimed():
    env = probes.aimed()
    network = networks.ActorCritic(env.action, MLP)
    settings = ppo.Settings(environments=64, rollout=4, minibatches=4, value_clip=0.2, **PLAIN)
    steps = 40
    rate = optax.linear_schedule(1e-2, 0, steps * settings.epochs * settings.minibatches)
    states, scores = trained(ppo.task(env, network, optax.adam(rate), settings), steps)
    mean = by_policy(network, states)(jnp.zeros(1)).action[:, 0]
    deviation = jnp.exp(states.params["params"]["policy_head"]["log_std"][:, 0])
    assert most((abs(mean - 0.5) < 0.05) & (deviation < 0.5)), (mean, deviation)  # from 0 and 1
    assert most(scores["sampled_return"] < scores["return"])  # any other action is worse
    assert most((scores["return"] > -(0.05**2)) & (scores["return"] <= 0))


@pytest.mark.parametrize("recurrent", [False, True])
def test_memory_is_needed_where_it_is(recurrent):
    """The sign seen at first decides the action two steps later: chance without a memory."""
    env = probes.remembered()
    core = networks.Core(16) if recurrent else None
    network = networks.ActorCritic(env.action, MLP, shared=recurrent, core=core)
    settings = ppo.Settings(
        environments=32, rollout=12, gamma=0.9, minibatches=4, entropy_weight=0.01, **PLAIN
    )
    _, scores = trained(ppo.task(env, network, optax.adam(1e-2), settings), 80)
    passed = scores["return"] == 1 if recurrent else abs(scores["return"]) < 0.5
    assert most(passed), scores["return"]


def test_sac_aims_and_knows_what_it_will_be_paid():
    """Its values are soft: the paid entropy is in them, next to nothing once it has aimed."""
    asked = [probes.aimed(), probes.one(), probes.seen(), probes.delayed(), probes.cut()]
    env, gamma = probes.mixture(asked), 0.5
    actor, critics = networks.SquashedActor(env.action, MLP), networks.Critics(MLP)
    settings = sac.Settings(
        environments=16,
        rollout=2,
        capacity=4096,
        warmup=1024,
        updates=2,
        gamma=gamma,
        tau=0.05,
        reward_scale=1.0,
    )
    states, scores = trained(sac.task(env, actor, critics, optax.adam(3e-3), settings), 1000)

    @partial(jax.vmap, in_axes=(0, None))
    def know(params, obs):
        action = actor.apply(params["actor"], obs).mode()
        return Learned(critics.apply(params["critics"], obs, action).min(0), action[0])

    def ask(name, obs):
        return know(states.params, probes.code(asked, name, obs))

    assert most(abs(ask("aimed", 0).action - 0.5) < 0.1), ask("aimed", 0).action
    known = {
        ("aimed", 0): 0, ("one", 0): 1, ("seen", 1): 1, ("seen", -1): -1,
        ("delayed", 1): 1, ("delayed", 0): gamma, ("cut", 0): 1 / (1 - gamma),
    }  # fmt: skip
    for (name, obs), value in known.items():
        found = ask(name, obs).value
        assert most(abs(found - value) < 0.1), (name, found)
    assert most(scores["sampled_return"] < scores["return"])  # any other action is worse


def test_one_epoch_of_one_minibatch_is_a2c():
    """Such a step of PPO is along the gradient of log pi(a | s) A - (v - G)^2 / 4."""
    env = probes.matched()
    network = networks.ActorCritic(env.action, MLP)
    settings = ppo.Settings(
        environments=8, rollout=4, epochs=1, minibatches=1, gamma=GAMMA,
        normalize_advantages=False, **PLAIN,
    )  # fmt: skip
    task = ppo.task(env, network, optax.sgd(1.0), settings)

    @jax.jit
    def both(key):
        state = task.init(key)
        noise_key, rollout_key, _ = jax.random.split(key, 3)
        noise = policies.noise(env.action, noise_key, (4, 8))
        act = ppo.acting(network, settings, state)
        _, t, _ = rollout.rollout(env, act, state.actors, rollout_key, noise)

        def apply(params):
            return network.apply(params, (), t.obs, t.start, method="unroll")

        advantage = t.reward - apply(state.params)[1]  # every step is a whole episode

        def objective(params):
            policy, value = apply(params)
            gain = policy.log_prob(t.action) * advantage
            return (gain - 0.25 * (value - t.reward) ** 2).mean()

        moved = jax.tree.map(jnp.add, state.params, jax.grad(objective)(state.params))
        return task.step(state, (), key)[0].params, moved

    assert_close(*both(jax.random.key(0)), atol=1e-6)


def test_updates_end_where_the_policy_has_gone_too_far():
    """The first of eight changes the policy, the second finds that it was too much."""
    env = probes.chosen()
    network = networks.ActorCritic(env.action, MLP)
    settings = ppo.Settings(environments=8, rollout=8, epochs=2, minibatches=4, target_kl=1e-6)
    task = ppo.task(env, network, optax.adam(1e-2), settings)

    @jax.jit
    def one(key):
        after, sums = task.step(task.init(key), (), key)
        return after.opt_state[0].count, sums

    count, sums = one(jax.random.key(0))
    assert count == 1
    used, kl = (float(total / count) for total, count in (sums["used"], sums["kl"]))
    assert used == 1 / 8 and kl > 1.5e-6


def valve(action, limit=4):
    """Its reward is the action that reaches it."""

    def step(key, state, action):
        state += 1
        no = jnp.array(False)
        return state, Step(jnp.zeros(1), jnp.float32(action[0]), no, state >= limit)

    return Environment("valve", lambda key: (jnp.int32(0), jnp.zeros(1)), step, Box((1,)), action,
                       limit)  # fmt: skip


def continuous(name, env):
    """The Task of an algorithm of continuous actions, before it has learnt."""
    if name == "sac":
        settings = sac.Settings(4, 1, 64, 16, 1, 8)
        actor = networks.SquashedActor(env.action, MLP)
        return sac.task(env, actor, networks.Critics(MLP), optax.adam(1e-3), settings)
    module = {"ppo": ppo, "reinforce": reinforce}[name]
    settings = module.Settings(environments=4, rollout=4)
    network = networks.ActorCritic(env.action, MLP)
    return module.task(env, network, optax.adam(1e-3), settings)


@pytest.mark.parametrize("name", ["ppo", "reinforce", "sac"])
def test_bounded_actions_are_mapped_by_the_algorithm(name):
    """Before training the middle of the policy is near 0: the middle of the bounds."""
    env = valve(Box((1,), 0.0, 500.0))
    task = continuous(name, env)
    run, _ = run_steps(task, feed.empty(), devices(1), (0,), [1])
    scores = metrics.scalars(loop.evaluate(task, run, episodes(8, 8), devices(1)))
    np.testing.assert_allclose(scores["return"], 4 * 250, rtol=0.2)
    assert 0 <= scores["sampled_return"][0] <= 4 * 500
    with pytest.raises(ValueError, match="bounds on one side or some entries only"):
        continuous(name, valve(Box((1,), 0.0)))


def test_algorithms_refuse_actions_that_are_not_theirs():
    for module in (dqn, pqn):
        with pytest.raises(ValueError, match="valve has continuous actions"):
            module.task(valve(Box((1,), 0.0, 1.0)), None, None, module.Settings())
    with pytest.raises(ValueError, match="discrete actions, SAC's are continuous"):
        sac.task(probes.one(), None, None, None, sac.Settings())
    with pytest.raises(ValueError, match="unbounded actions, SAC's lie in"):
        sac.task(valve(Box((1,))), None, None, None, sac.Settings())
