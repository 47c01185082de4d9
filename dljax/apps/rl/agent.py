"""An agent: its environment, network and Task, as an application makes them of its Config."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import flax.linen as nn
import optax
from jax import Array

from dljax.apps.configs.agent import AgentConfig
from dljax.data.record import DataRecord
from dljax.envs import named, wrappers
from dljax.envs.environment import Box, Discrete, Environment
from dljax.nn.recurrent import layers
from dljax.rl import networks
from dljax.rl.rollout import Act
from dljax.run import optimizer
from dljax.run.config import with_traced
from dljax.train.loop import Task

S = TypeVar("S", bound=NamedTuple)

TEST = 1_000_000  # number of the first test episode; those of validation begin at 0
CORES = {"gru": layers.GRU, "lstm": layers.LSTM}


class Agent(NamedTuple):
    """What an application makes of its Config.

    greedy: State of one seed -> its best action. memory: number of environments -> the recurrent
    state before a step. value_and_greedy: State of one seed -> (obs [B, ...] -> value [B] and best
    action [B]); None for an agent that has none.
    """

    env: Environment
    task: Task
    greedy: Callable[[Any], Act]
    memory: Callable[[int], networks.Memory] = lambda environments: ()
    value_and_greedy: Callable[[Any], Callable[[Array], tuple[Array, Array]]] | None = None


def environment(config: AgentConfig) -> Environment:
    """The environment of a Config, in its wrappers.

    Raises ValueError, in one line, for unknown names and values.
    """
    env = named.make(config.env, **named.parsed(config.env_params))
    if config.sticky:
        env = wrappers.sticky_actions(env, config.sticky)
    if config.hide_velocities:
        env = wrappers.hide_velocities(env)
    env = wrappers.float32(env) if has_images(env) else wrappers.flatten(env)
    if config.observations == "unit":
        env = wrappers.unit_observations(env)
    if config.frame_stack > 1:
        env = wrappers.frame_stack(env, config.frame_stack)
    if isinstance(env.action, Box):
        env = wrappers.unit_actions(env)
    return env


def has_images(env: Environment) -> bool:
    """Whether observations are images [H, W, C], for a convolutional network."""
    return len(env.observation.shape) == 3


def environment_record(config: AgentConfig, env: Environment) -> DataRecord:
    """What the user is shown of an environment before training; a run is continued on it alone.

    Its parameters count, also those that another release of gymnax sets otherwise.
    """
    shape, action = env.observation.shape, env.action
    size = "x".join(map(str, shape))
    spaces = {
        "observation": f"an image of {size}" if has_images(env) else _numbers(shape[0]),
        "action": f"one of {action.n}" if isinstance(action, Discrete) else
        f"{_numbers(action.shape[0])} from -1 to 1",
        "episode": f"at most {env.limit} steps",
    }  # fmt: skip
    derived = named.all_parameters(config.env, **named.parsed(config.env_params))
    return DataRecord({env.name: spaces}, {}, {"parameters": derived} if derived else {})


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"


def torso(config: AgentConfig, env: Environment, **settings: Any) -> Callable[[], nn.Module]:
    """What makes the hidden layers: of a convolutional network, features[-1] units."""
    if not config.features:
        raise ValueError("features must name the units of at least one layer")
    if has_images(env) and config.network == "cnn":
        return partial(networks.CNN, features=config.features[-1], **settings)
    return partial(networks.MLP, config.features, axes=len(env.observation.shape), **settings)


def actor_critic(
    config: AgentConfig, env: Environment, shared: bool, core: str = "none"
) -> networks.ActorCritic:
    """The network of a policy and its value; with a recurrent core they share their torso."""
    layer = CORES.get(core)
    return networks.ActorCritic(
        env.action,
        torso(config, env),
        shared=shared or layer is not None,
        core=networks.Core(config.features[-1], layer) if layer else None,
    )


def action_values(
    config: AgentConfig, env: Environment, duelling: bool, quantiles: int = 1, **settings: Any
) -> networks.ActionValues:
    """The network of a Q-learner; settings are its torso's.

    Raises ValueError for continuous actions, which have no largest value.
    """
    if not isinstance(env.action, Discrete):
        raise ValueError(f"{config.env} has continuous actions: use experiments.ppo or sac")
    return networks.ActionValues(env.action, torso(config, env, **settings), duelling, quantiles)


def exploration_steps(config: AgentConfig, share: float) -> int:
    """Steps of the task in which random actions decline."""
    return max(round(share * config.steps), 1)


def minibatches(config: AgentConfig) -> int:
    """Minibatches of batch_size in a rollout; ValueError where it does not divide it."""
    played = config.environments * config.rollout
    if played % config.batch_size:
        raise ValueError(
            f"batch_size={config.batch_size} must divide the {config.environments} environments "
            f"times {config.rollout} steps of a rollout"
        )
    return played // config.batch_size


def settings(kind: type[S], config: AgentConfig, **others: Any) -> S:
    """An algorithm's Settings from the flags of the same names; others: what no flag names."""
    named = {name: getattr(config, name) for name in kind._fields if hasattr(config, name)}
    return kind(**{**named, **others})


def transformation(config: AgentConfig, updates: int) -> optax.GradientTransformation:
    """The optimiser of a Config that is called `updates` times a step of the task."""
    # No `replace`, which checks numbers: a sweep's are traced.
    return optimizer.transformation(with_traced(config, {"steps": config.steps * updates}))
