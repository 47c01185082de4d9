"""Training and playing, the same for all agents: an application gives its Config and `make`.

training.train(config, make)     # make: Config -> Agent
training.load(config, make)
training.play(config, make)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax import plots
from dljax.apps.configs.agent import AgentConfig, resolved
from dljax.apps.rl import value_maps
from dljax.apps.rl.agent import TEST, Agent, environment_record
from dljax.data import feed
from dljax.data.feed import MASK, Examples
from dljax.envs.environment import Discrete, Environment, Key
from dljax.rl import rollout, statistics
from dljax.rl.networks import Memory
from dljax.run import session
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.train.loop import Run, one_seed
from dljax.train.parallel import place
from dljax.train.report import read_metrics, read_seconds

HEADLINE = ("return", "length")

Make = Callable[[Any], Agent]  # of an algorithm's own Config


class Trained(NamedTuple):
    """A trained agent: the run's Config, what `make` made of it, and the States of its seeds.

    states: [seeds, ...]. step: of the checkpoint.
    """

    config: AgentConfig
    agent: Agent
    states: Any
    step: int

    def policy(self, seed: int = 0) -> rollout.Act:
        """What the seed at that position does where it need not explore.

        (memory, obs [N, ...], start [N], noise) -> (memory, action [N, ...]). obs: as `agent.env`
        gives them; start: where an episode begins; memory: at first `agent.memory(N)`; noise: not
        used. Of bounded continuous actions it gives [-1, 1], as `agent.env` takes them.
        """
        return self.agent.greedy(one_seed(self.states, seed))


def build(config: AgentConfig, make: Make) -> Experiment:
    """An agent as an Experiment for `session.train`, of a Config that is `resolved`.

    Raises ValueError, in one line, for what does not fit together.
    """
    agent = make(config)
    placement = session.placement(config, config.environments)

    def episodes(first: int) -> Examples:
        numbers = first + np.arange(config.episodes, dtype=np.int32)
        return feed.examples({"episode": numbers}, config.episodes, placement.batch_multiple)

    def analyze(run: Run, metrics: dict[str, Any], baselines: dict[str, Any]) -> Analysis:
        return _analyze(config, agent, run, metrics["return"], baselines["random"]["return"])

    return Experiment(
        name=config.name,
        dataset=config.env,
        task=lambda config: make(config).task,
        feed=feed.empty(),
        placement=placement,
        headline=HEADLINE,
        data=environment_record(config, agent.env),
        validation=episodes(0),
        choose_by="max:return",
        test=episodes(TEST),
        baselines=lambda: {"random": random_play(agent.env, config.episodes)},
        analyze=analyze,
        draw=lambda run, sums, folder: _draw(config, agent, run, folder),
    )


def random_play(env: Environment, episodes: int) -> dict[str, float]:
    """Mean return and length of random actions over the test episodes."""

    def act(memory: Memory, obs: Array, start: Array, noise: Array) -> tuple[Memory, Array]:
        del obs, start
        return memory, noise

    def random_action(key: Key, shape: tuple[int, ...]) -> Array:
        if isinstance(env.action, Discrete):
            return jax.random.randint(key, shape, 0, env.action.n)
        return jax.random.uniform(key, (*shape, *env.action.shape), minval=-1, maxval=1)

    batch = {"episode": TEST + jnp.arange(episodes), MASK: jnp.ones(episodes)}
    sums = jax.jit(lambda batch: rollout.evaluate(env, act, (), random_action, batch))(batch)
    return {name: float(total / count) for name, (total, count) in sums.items()}


def _analyze(
    config: AgentConfig, agent: Agent, run: Run, returns: np.ndarray, random: float
) -> Analysis:
    """Interquartile mean over seeds with its interval, against random play and exact values."""
    estimate = statistics.interquartile_mean(returns[~np.isnan(returns)])  # NaN: a dropped seed
    count, lines = int((~np.isnan(returns)).sum()), []
    if count > 1:
        lines.append(
            f"return of {count} seeds: interquartile mean {estimate.value:.1f}, "
            f"95 % bootstrap interval {estimate.low:.1f} to {estimate.high:.1f}"
        )
    if estimate.value <= random:
        lines.append(f"not better than random play: {random:.1f}")
    findings, exact = value_maps.compared(config, agent, run)
    findings = {"interquartile_mean": estimate._asdict(), **findings}
    return Analysis(findings, (*lines, *exact))


def _draw(config: AgentConfig, agent: Agent, run: Run, folder: Path) -> None:
    """Returns over steps of the environments and over time; maps of the learned values."""
    folder.mkdir(parents=True, exist_ok=True)
    steps, returns = read_metrics(folder.parent)["validation/return"]
    seconds = read_seconds(folder.parent)
    played = steps * config.environments * config.rollout
    clock = [seconds[step] for step in steps.tolist()]
    plots.rl.returns(played, clock, returns, folder / "returns.png", config.env)
    value_maps.draw(config, agent, run, folder / "values.png")


def train(config: AgentConfig, make: Make) -> Outcome:
    """Trains in config.workdir, or continues there."""
    config = resolved(config)
    return session.train(config, functools.partial(build, make=make))


def load(config: AgentConfig, make: Make) -> Trained:
    """The agents of the run in config.workdir: its best checkpoint, the newest if none was scored.

    Raises FileNotFoundError or ValueError, in one line, where there is none.
    """
    found, _ = session.saved(config)
    agent = make(found)
    run, step = session.restore(found, agent.task, place("none"))
    return Trained(found, agent, run.states, step)


def play(config: AgentConfig, make: Make) -> float:
    """Plays test episode config.play with the first seed of the best checkpoint.

    Draws it as workdir/predictions/episode_N.gif; returns its return.
    """
    number, trained = config.play, load(config, make)
    config, agent = trained.config, trained.agent

    def one(states: Any) -> rollout.Recording:
        act = trained._replace(states=states).policy()
        return rollout.record_episode(
            agent.env, act, agent.memory(1), rollout.no_noise, TEST + number
        )

    recording = jax.device_get(jax.jit(one)(trained.states))
    length = int(recording.alive.sum())
    states, obs, rewards = jax.tree.map(
        lambda x: np.asarray(x)[:length],
        (recording.states, recording.trajectory.obs[:, 0], recording.trajectory.reward[:, 0]),
    )
    path = Path(config.workdir) / "predictions" / f"episode_{number}.gif"
    plots.rl.episode(config.env, states, obs, rewards, path)
    print(
        f"{config.env}, test episode {number}, first seed of the best checkpoint "
        f"(step {trained.step}): return {rewards.sum():.1f} in {length} steps; {path}"
    )
    return float(rewards.sum())


def run(config: AgentConfig, make: Make) -> None:
    """What the command line does: trains, or plays where --play names an episode."""
    if config.play >= 0:
        play(config, make)
    else:
        train(config, make)
