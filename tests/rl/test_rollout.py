"""Rollouts, episodes, policies and running statistics, against what they should be."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.envs.environment import Box, Discrete
from dljax.nn.recurrent import layers
from dljax.rl import batches, exploration, networks, normalization, policies, rollout, statistics
from tests.rl import probes


def ones(memory, obs, start, noise):
    """Always action 1; remembers how many steps the episode has had."""
    memory = jnp.where(start, 0, memory) + 1
    return memory, jnp.ones(len(obs), jnp.int32)


def rolled(env, steps, environments=5, chunks=1):
    """The last of some rollouts, each of so many steps."""
    noise = jnp.zeros((steps, environments))
    memory = jnp.zeros(environments, jnp.int32)
    actors = jax.jit(lambda key: rollout.begin(env, key, environments, memory))(jax.random.key(0))
    roll = jax.jit(lambda actors, key: rollout.rollout(env, ones, actors, key, noise))
    for chunk in range(chunks):
        actors, trajectory, sums = roll(actors, jax.random.key(chunk))
    return actors, trajectory, sums


def test_a_rollout_resets_and_remembers_the_true_last_observation():
    actors, t, sums = rolled(probes.remembered(), steps=7)
    assert t.obs.shape == (7, 5, 1)
    assert t.start[:, 0].tolist() == [True, False, False, True, False, False, True]
    assert t.terminated[:, 0].tolist() == [False, False, True, False, False, True, False]
    assert t.memory[:, 0].tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert (t.next_obs[2] == 0).all() and (abs(t.obs[3]) == 1).all()  # not of the next episode
    sign = jnp.where(t.terminated, t.reward, 0).sum()
    assert [float(x) for x in sums["return"]] == [float(sign), 10]
    assert [float(x) for x in sums["length"]] == [30, 10]
    assert actors.length.tolist() == [1] * 5
    np.testing.assert_array_equal(t.continues(), 1 - t.terminated)


def test_episodes_go_on_over_rollouts():
    actors, t, sums = rolled(probes.cut(), steps=2, chunks=2)  # ends at the third step
    assert t.truncated[:, 0].tolist() == [True, False]
    assert [float(x) for x in sums["return"]] == [15, 5]
    assert actors.total.tolist() == [1] * 5


def test_fresh_starts_differ():
    _, t, _ = rolled(probes.seen(), steps=200)
    signs = t.obs[..., 0]
    assert set(np.unique(signs)) == {-1, 1} and abs(signs.mean()) < 0.2
    assert len({tuple(x) for x in np.asarray(signs.T)}) == 5  # no environment copies another


def test_episodes_that_measure_do_not_depend_on_their_batch():
    env = probes.mixture([probes.seen(), probes.cut(), probes.remembered()])
    memory = jnp.zeros(8, jnp.int32)
    play = jax.jit(partial(rollout.play, env, ones, memory, rollout.no_noise))
    numbers, mask = jnp.arange(8), jnp.ones(8)
    total, length = play(numbers, mask)
    again, _ = play(numbers[::-1], mask)
    np.testing.assert_array_equal(again, total[::-1])
    part, none = play(numbers, mask.at[3:].set(0))
    np.testing.assert_array_equal(part, jnp.where(jnp.arange(8) < 3, total, 0))
    assert (none[3:] == 0).all()
    assert set(length.tolist()) <= {1, 3} and len(set(total.tolist())) > 1
    record = jax.jit(partial(rollout.record_episode, env, ones, memory[:1], rollout.no_noise))
    for number in range(3):  # what is recorded is what was measured
        states, trajectory, alive = record(number)
        assert float((trajectory.reward[:, 0] * alive).sum()) == total[number]
        assert int(alive.sum()) == length[number]
        assert states.place.time[0] == 0


def test_categorical():
    policy = policies.Categorical(jnp.log(jnp.array([[0.2, 0.3, 0.5]])))
    noise = policies.noise(Discrete(3), jax.random.key(0), (20_000,))
    shares = np.bincount(np.asarray(policy.sample(noise))) / 20_000
    np.testing.assert_allclose(shares, [0.2, 0.3, 0.5], atol=0.015)
    assert policy.mode().tolist() == [2]
    assert policy.log_prob(jnp.array([1]))[0] == pytest.approx(np.log(0.3), rel=1e-5)
    entropy = -sum(p * np.log(p) for p in (0.2, 0.3, 0.5))
    assert policy.entropy()[0] == pytest.approx(entropy, rel=1e-5)


def test_normal():
    policy = policies.Normal(jnp.array([[1.0, -1.0]]), jnp.log(jnp.array([2.0, 0.5])))
    samples = policy.sample(policies.noise(Box((2,)), jax.random.key(0), (40_000,)))
    np.testing.assert_allclose(samples.mean(0), [1, -1], atol=0.04)
    np.testing.assert_allclose(samples.std(0), [2, 0.5], atol=0.03)
    # at one deviation from each mean: each density is that of N(0, 1) at 1 over the deviation
    found = policy.log_prob(jnp.array([[3.0, -1.5]]))[0]
    assert found == pytest.approx(-np.log(2 * np.pi) - 1 - np.log(2 * 0.5), rel=1e-5)
    assert policy.entropy()[0] == pytest.approx(-float(policy.log_prob(samples).mean()), abs=0.02)


def test_squashed_density_integrates_to_one():
    policy = policies.Squashed(policies.Normal(jnp.array([0.3]), jnp.array([0.2])))
    noise = jnp.linspace(-6, 6, 4001)[:, None]
    action, log_prob = policy.sample_and_log_prob(noise)
    assert jnp.trapezoid(jnp.exp(log_prob), action[:, 0]) == pytest.approx(1, abs=1e-3)
    assert policy.mode()[0] == pytest.approx(np.tanh(0.3), rel=1e-5)


def test_epsilon_greedy():
    q = jnp.array([[0.0, 2.0, 1.0, 0.0]])
    network = type("Q", (), {"apply": staticmethod(lambda params, obs: q)})
    noise = jax.random.uniform(jax.random.key(0), (40_000, 2))
    obs = start = jnp.zeros(1)
    actions = exploration.exploring(network, None, 0.4)((), obs, start, noise)[1]
    np.testing.assert_allclose(np.bincount(actions) / 40_000, [0.1, 0.7, 0.1, 0.1], atol=0.01)
    assert exploration.greedy(network, None)((), obs, start, noise)[1].tolist() == [1]
    shares = [float(exploration.epsilon((1.0, 0.2), 10, jnp.int32(c))) for c in (0, 5, 10, 99)]
    np.testing.assert_allclose(shares, [1, 0.6, 0.2, 0.2], rtol=1e-6)


def test_running_moments_are_those_of_all_that_was_seen():
    x = jax.random.normal(jax.random.key(0), (3, 40, 2)) * 5 + 2
    moments = normalization.no_moments((2,))
    np.testing.assert_array_equal(normalization.normalized(moments, x[0, :1] * 0 + 1), 1)
    add = jax.jit(normalization.update)
    for part in x:
        moments = add(moments, part)
    flat = np.asarray(x).reshape(-1, 2)
    np.testing.assert_allclose(moments.mean, flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance(), flat.var(0), rtol=1e-5)
    z = normalization.normalized(moments, jnp.asarray(flat))
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-4)
    assert float(normalization.normalized(moments, jnp.array([1e6, 0.0]))[0]) == 10


def test_rewards_are_scaled_by_the_deviation_of_the_return():
    reward = jnp.array([[2.0], [2.0], [4.0]])
    done = jnp.array([[False], [True], [False]])
    scale, scaled = jax.jit(normalization.scaled)(normalization.no_scale(1), reward, done, 0.5)
    running = np.array([2.0, 3.0, 4.0])  # 2; 2 + 1; after the end: 4
    np.testing.assert_allclose(scaled[:, 0], reward[:, 0] / running.std(), rtol=1e-5)
    assert scale.running.tolist() == [4]


def test_interquartile_mean():
    assert statistics.interquartile_mean(np.array([0.0, 3.0, 5.0, 100.0])).value == 4
    five = statistics.interquartile_mean(np.array([100.0, 2.0, 3.0, 8.0, -50.0]))
    assert five.value == pytest.approx((0.75 * 2 + 3 + 0.75 * 8) / 2.5)
    assert five.low < five.value < five.high
    assert statistics.interquartile_mean(np.array([7.0])) == (7, 7, 7)


@pytest.mark.parametrize("layer", [layers.GRU, layers.LSTM])
def test_a_core_forgets_where_an_episode_starts(layer):
    network = networks.ActorCritic(
        Discrete(2), partial(networks.MLP, (8,)), shared=True, core=networks.Core(8, layer)
    )
    obs = jax.random.normal(jax.random.key(0), (6, 3, 4))
    start = jnp.zeros((6, 3), bool).at[4, 1].set(True)
    memory = jax.tree.map(lambda h: jax.random.normal(jax.random.key(1), h.shape), network.begin(3))
    params = jax.jit(network.init)(jax.random.key(2), memory, obs[0], start[0])
    unroll, step = jax.jit(partial(network.apply, method="unroll")), jax.jit(network.apply)
    policy, value = unroll(params, memory, obs, start)
    stepped, found = memory, []
    for x, s in zip(obs, start, strict=True):
        stepped, (one, v) = step(params, stepped, x, s)
        found.append((one.logits, v))
    np.testing.assert_allclose(policy.logits, jnp.stack([p for p, _ in found]), atol=1e-6)
    np.testing.assert_allclose(value, jnp.stack([v for _, v in found]), atol=1e-6)
    fresh, _ = unroll(params, network.begin(3), jnp.roll(obs, 2, 0), start & False)
    np.testing.assert_allclose(policy.logits[4:, 1], fresh.logits[:2, 1], atol=1e-6)
    assert abs(policy.logits[4:, 0] - fresh.logits[:2, 0]).max() > 1e-4
    with pytest.raises(ValueError, match="shared=True"):
        networks.ActorCritic(Discrete(2), core=networks.Core(8)).init(
            jax.random.key(0), memory, obs[0], start[0]
        )


def test_duelling_values_are_centred():
    network = networks.ActionValues(Discrete(3), partial(networks.MLP, (8,)), duelling=True)
    obs = jax.random.normal(jax.random.key(0), (5, 4))
    params, apply = jax.jit(network.init)(jax.random.key(1), obs), jax.jit(network.apply)
    moved = jax.tree.map(lambda x: x, params)
    bias = moved["params"]["Dense_0"]["bias"]  # of the advantages: a common change is no change
    moved["params"]["Dense_0"]["bias"] = bias + 3
    np.testing.assert_allclose(apply(moved, obs), apply(params, obs), atol=1e-5)


def test_minibatches_hold_each_sample_once_an_epoch():
    chosen = np.asarray(batches.shuffled(jax.random.key(0), 12, 3, 4))
    assert chosen.shape == (12, 3)
    epochs = chosen.reshape(3, 12)
    assert (np.sort(epochs, axis=1) == np.arange(12)).all()
    assert len({tuple(x) for x in epochs}) == 3
    x = jnp.arange(6).reshape(2, 3)
    assert batches.flat({"x": x})["x"].tolist() == list(range(6))
