"""What an agent knows, against what is known: exact values of small problems, maps of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments import agents

if TYPE_CHECKING:
    import numpy as np

    from dljax.rl.tabular import Table, Values


class Exact(NamedTuple):
    """A problem's Table, its optimal values, and what the agents [seeds, S] believe and do."""

    table: Table
    values: Values
    value: np.ndarray
    action: np.ndarray


def _exact(config: agents.Config, agent: agents.Agent, run: Any) -> Exact | None:
    """Optimal and learned values of all states; None where the problem is not known to be small."""
    import jax

    from dljax.rl import tabular

    small = tabular.SMALL.get(config.env)
    # Of a sweep, the chosen point is another Config's.
    changed = config.sticky or config.frame_stack > 1 or config.gamma == 1
    if not (small and agent.value_and_greedy) or changed or config.sweep:
        return None
    surely = tuple(f"{name}={str(value).lower()}" for name, value in small.surely.items())
    env = agents.environment(replace(config, env_params=config.env_params + surely))
    try:
        table = tabular.table(env, small, small.slip(agents.parameters(config)))
    except ValueError:  # too many states, or no such table
        return None
    values = tabular.value_iteration(table, config.gamma)
    learned = jax.jit(jax.vmap(lambda state: agent.value_and_greedy(state)(table.obs)))(run.states)
    return Exact(table, values, *jax.device_get(learned))


def compared(
    config: agents.Config, agent: agents.Agent, run: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the summary and the user are told of exact values; nothing where there are none."""
    import numpy as np

    from dljax.rl import tabular

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


def draw(config: agents.Config, agent: agents.Agent, run: Any, path: Path) -> None:
    """Values and policy of the first seed: beside the exact ones, or over a plane; or nothing."""
    import jax

    if not agent.value_and_greedy or config.sweep:
        return
    found = _exact(config, agent, run)
    if found:
        _draw_cells(config, found, path)
    else:
        _draw_plane(config, agent, jax.tree.map(lambda x: x[0], run.states), path)


def _draw_cells(config: agents.Config, found: Exact, path: Path) -> None:
    import numpy as np

    from dljax.plots import values

    table, states = found.table, np.arange(len(found.table.obs))
    panels = {"exact": (found.values.v, found.values.q.argmax(1))}
    panels["learned (first seed)"] = (found.value[0], found.action[0])
    shown = {
        name: values.Cells(value, table.to[states, action] - table.place)
        for name, (value, action) in panels.items()
    }
    paid = table.reward > 0
    goals, pits = (np.unique(table.to[table.terminated & x], axis=0) for x in (paid, ~paid))
    title = f"{config.env}: values and best actions"
    values.cells(table.place, goals, pits, shown, path, title)


def _draw_plane(config: agents.Config, agent: agents.Agent, state: Any, path: Path) -> None:
    import jax
    import numpy as np

    from dljax.envs import gymnax_environments, wrappers
    from dljax.plots import values
    from dljax.rl import rollout

    axes = values.PLANES.get(config.env)
    if not axes or agent.env.observation.shape != (len(axes.see(0.0, 0.0)),):
        return
    x, y = (np.linspace(*bounds, 121, dtype=np.float32) for bounds in axes.bounds)
    obs = np.stack(axes.see(*(c.reshape(-1) for c in np.meshgrid(x, y))), -1)
    if config.observations == "unit":
        obs = wrappers.unit(gymnax_environments.make(config.env).observation)(obs)

    def ask(state: Any) -> Any:
        episode = rollout.watch(
            agent.env, agent.greedy(state), agent.memory(1), rollout.silent, agents.TEST
        )
        return agent.value_and_greedy(state)(obs), episode

    (value, action), (states, _, going) = jax.device_get(jax.jit(ask)(state))
    while hasattr(states, "inner"):  # of wrappers
        states = states.inner
    way = np.stack([getattr(states, name) for name in axes.fields], -1)[going]
    value, action = (z.reshape(len(y), len(x)) for z in (value, action))
    actions = agent.env.action.n if isinstance(agent.env.action, environment.Discrete) else 0
    values.plane(axes, value, action, way, actions, path, config.env)
