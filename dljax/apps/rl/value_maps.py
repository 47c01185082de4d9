"""Learned values of states: against the exact ones of small problems, and as maps of a plane."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dljax import plots
from dljax.apps.configs.agent import AgentConfig
from dljax.apps.rl.agent import TEST, Agent, environment
from dljax.envs import named, wrappers
from dljax.rl import rollout, tabular
from dljax.rl.tabular import Table, Values
from dljax.train.loop import Run


class Exact(NamedTuple):
    """A problem's Table, its optimal values, and the agents' values and actions [seeds, S]."""

    table: Table
    values: Values
    value: np.ndarray
    action: np.ndarray


def _exact(config: AgentConfig, agent: Agent, run: Run) -> Exact | None:
    """Optimal and learned values of all states; None where the problem is not known to be small."""
    small = tabular.SMALL.get(config.env)
    # Of a sweep, the chosen point is another Config's.
    changed = config.sticky or config.frame_stack > 1 or config.gamma == 1
    if not (small and agent.value_and_greedy) or changed or config.sweep:
        return None
    never_fails = tuple(f"{name}={str(x).lower()}" for name, x in small.never_fails.items())
    env = environment(replace(config, env_params=config.env_params + never_fails))
    try:
        table = tabular.table(env, small, small.slip(named.parsed(config.env_params)))
    except ValueError:  # too many states, or no such table
        return None
    optimal = tabular.value_iteration(table, config.gamma)
    learned = jax.jit(jax.vmap(lambda state: agent.value_and_greedy(state)(table.obs)))(run.states)
    return Exact(table, optimal, *jax.device_get(learned))


def compared(config: AgentConfig, agent: Agent, run: Run) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Learned values against exact ones: findings and lines, empty where there are none."""
    found = _exact(config, agent, run)
    if not found:
        return {}, ()
    start = found.table.start
    policies = [
        tabular.policy_evaluation(found.table, action, config.gamma) for action in found.action
    ]
    numbers = {
        "exact": float(start @ found.values.v),
        "learned": (found.value @ start).tolist(),
        "of_the_policy": [float(start @ v) for v in policies],
        "mean_error": np.abs(found.value - found.values.v).mean(1).tolist(),
    }
    line = (
        f"value where episodes start: exact {numbers['exact']:.4f}, "
        f"learned {np.mean(numbers['learned']):.4f}, "
        f"of the learned policy {np.mean(numbers['of_the_policy']):.4f}; "
        f"mean error over all {len(start)} states {np.mean(numbers['mean_error']):.4f}"
    )
    return {"values": numbers}, (line,)


def draw(config: AgentConfig, agent: Agent, run: Run, path: Path) -> None:
    """Values and policy of the first seed: beside the exact ones, or over a plane; or nothing."""
    if not agent.value_and_greedy or config.sweep:
        return
    found = _exact(config, agent, run)
    if found:
        _draw_cells(config, found, path)
    else:
        _draw_plane(config, agent, jax.tree.map(lambda x: x[0], run.states), path)


def _draw_cells(config: AgentConfig, found: Exact, path: Path) -> None:
    table, states = found.table, np.arange(len(found.table.obs))
    policies = {
        "exact": (found.values.v, found.values.q.argmax(1)),
        "learned (first seed)": (found.value[0], found.action[0]),
    }
    panels = {
        name: plots.values.Cells(value, table.to[states, action] - table.place)
        for name, (value, action) in policies.items()
    }
    rewarded = table.reward > 0
    goals, pits = (np.unique(table.to[table.terminated & x], axis=0) for x in (rewarded, ~rewarded))
    title = f"{config.env}: values and best actions"
    plots.values.cells(table.place, goals, pits, panels, path, title)


def _draw_plane(config: AgentConfig, agent: Agent, state: Any, path: Path) -> None:
    plane = plots.values.PLANES.get(config.env)
    if not plane or agent.env.observation.shape != (len(plane.observe(0.0, 0.0)),):
        return
    x, y = (np.linspace(*bounds, 121, dtype=np.float32) for bounds in plane.bounds)
    obs = np.stack(plane.observe(*(c.reshape(-1) for c in np.meshgrid(x, y))), -1)
    if config.observations == "unit":
        obs = wrappers.unit(named.make(config.env).observation)(obs)

    def evaluate(state: Any) -> Any:
        act, memory = agent.greedy(state), agent.memory(1)
        episode = rollout.record_episode(agent.env, act, memory, rollout.no_noise, TEST)
        return agent.value_and_greedy(state)(obs), episode

    (value, action), (states, _, alive) = jax.device_get(jax.jit(evaluate)(state))
    while hasattr(states, "inner"):  # of wrappers
        states = states.inner
    trajectory = np.stack([getattr(states, name) for name in plane.fields], -1)[alive]
    value, action = (z.reshape(len(y), len(x)) for z in (value, action))
    plots.values.plane(plane, value, action, trajectory, path, config.env)
