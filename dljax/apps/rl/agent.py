"""What the scripts of reinforcement learning share: flags, environments, evaluation, pictures.

A script is a Config and `make(config) -> Agent`; `build`, `train`, `play` and `main` are here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

from experiments import base, optimization, sweep

if TYPE_CHECKING:
    import optax
    from experiments.session import Experiment, Outcome

    from dljax.envs.environment import Environment

TEST = 1_000_000  # number of the first episode of the last evaluation; validation begins at 0


@dataclass(frozen=True, kw_only=True)
class Config(optimization.Config):
    """The flags of all agents.

    tuned: what a flag is that was left none, by the name of the environment, of its family (what
    follows the dash: "MinAtar"), or "" for all others.
    """

    tuned: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    num_seeds: int = base.field(8, "agents trained in one program", minimum=1)
    steps: int = base.field(0, "steps of the task; 0: as many as total_steps asks for", minimum=0)
    optimizer: str = base.field(
        "adam", "optimiser", choices=("sgd", "momentum", "nesterov", "adam", "adamw", "lion")
    )
    schedule: str = base.field(
        "linear", "learning-rate schedule", choices=("constant", "linear", "cosine", "one_cycle")
    )
    warmup: float = base.field(0.0, "share of the steps that warm up", minimum=0, maximum=1)
    weight_decay: float = base.field(0.0, "weight decay (of kernels alone)", minimum=0)
    dtype: str = base.field("float32", "type to compute in", choices=("float32",))

    env: str = base.field("CartPole-v1", "name of an environment of gymnax")
    env_params: tuple[str, ...] = base.field((), "its parameters, each name=value")
    total_steps: int | None = base.field(
        None, "steps of each agent's environments, all together; none: as tuned", minimum=1
    )
    observations: str | None = base.field(
        None, "as they are, or those that have bounds as -1 to 1; none: as tuned",
        choices=("plain", "unit"),
    )  # fmt: skip
    network: str | None = base.field(
        None, "what pictures go through (all else: mlp); none: as tuned", choices=("cnn", "mlp")
    )
    hide_velocities: bool = base.field(False, "let the agent see positions alone")
    frame_stack: int = base.field(1, "newest observations that the agent sees", minimum=1)
    sticky: float = base.field(
        0.0, "probability that the action before is repeated", minimum=0, maximum=1
    )
    environment: int | None = base.field(
        None, "environments side by side; none: as tuned", minimum=1
    )
    rollout: int | None = base.field(
        None, "steps of each environment in a step of the task; none: as tuned", minimum=1
    )
    gamma: float = base.field(0.99, "discount", minimum=0, maximum=1)
    features: tuple[int, ...] = base.field((64, 64), "hidden units of each layer", minimum=1)
    episodes: int = base.field(64, "episodes of an evaluation", minimum=1)
    play: int = base.field(
        -1, "draw the test episode of this number with the best checkpoint", minimum=-1,
        resume=False,
    )  # fmt: skip


class Agent(NamedTuple):
    """What a script makes of its Config.

    name: the script's. greedy: (State of one seed) -> how it acts best. memory: batch -> the memory
    before a step. value_and_greedy: (State of one seed) -> (obs [B, ...] -> value [B] and best action [B]).
    """

    name: str
    env: Environment
    task: Any
    greedy: Callable[[Any], Any]
    memory: Callable[[int], Any] = lambda batch: ()
    value_and_greedy: Callable[[Any], Callable[[Any], tuple[Any, Any]]] | None = None


def resolved(config: Any) -> Any:
    """The Config with the flags that are none as they are tuned, and the number of steps."""
    tuned: dict[str, Any] = {"observations": "plain", "network": "cnn"}
    for name in ("", config.env.rpartition("-")[2], config.env):
        tuned |= config.tuned.get(name, {})
    config = replace(config, **{k: v for k, v in tuned.items() if getattr(config, k) is None})
    played = config.environments * config.rollout
    return replace(config, steps=config.steps or max(round(config.total_steps / played), 1))


def parameters(config: Config) -> dict[str, Any]:
    """The environment's parameters that a Config names; ValueError for what is no name=value."""
    given = {}
    for text in config.env_params:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"env_params are written name=value, not {text!r}")
        try:
            given[name] = json.loads(value)
        except ValueError:
            raise ValueError(f"env_params: {value!r} is no number, true or false") from None
    return given


def environment(config: Config) -> Environment:
    """The environment of a Config, in its wrappers.

    Raises ValueError, in one line, for names and values that there are not.
    """
    from dljax.envs import gymnax_environments, wrappers

    env = gymnax_environments.make(config.env, **parameters(config))
    if config.sticky:
        env = wrappers.sticky_actions(env, config.sticky)
    if config.hide_velocities:
        env = wrappers.hide_velocities(env)
    env = wrappers.float32(env) if pictured(env) else wrappers.flatten(env)
    if config.observations == "unit":
        env = wrappers.unit_observations(env)
    if config.frame_stack > 1:
        env = wrappers.frame_stack(env, config.frame_stack)
    if isinstance(env.action, environment.Box):
        env = wrappers.unit_actions(env)
    return env


def pictured(env: Environment) -> bool:
    """Whether observations are pictures [H, W, C], for a convolutional network."""
    return len(env.observation.shape) == 3


def torso(config: Config, env: Environment, **settings: Any) -> Callable[[], Any]:
    """What makes the hidden layers: of a convolutional network, features[-1] units."""
    if not config.features:
        raise ValueError("features must name the units of at least one layer")
    from functools import partial

    from dljax.rl import networks

    if pictured(env) and config.network == "cnn":
        return partial(networks.CNN, features=config.features[-1], **settings)
    return partial(networks.MLP, config.features, axes=len(env.observation.shape), **settings)


def actor_critic(config: Any, env: Environment) -> Any:
    """The network of a policy and its value, by the flags `shared` and `core`."""
    from dljax.nn.recurrent import layers
    from dljax.rl import networks

    layers = {"none": None, "gru": layers.GRU, "lstm": layers.LSTM}
    layer = layers[config.core]
    return networks.ActorCritic(
        env.action,
        torso(config, env),
        shared=config.shared or layer is not None,
        core=networks.Core(config.features[-1], layer) if layer else None,
    )


def action_values(config: Any, env: Environment, **settings: Any) -> Any:
    """The network of a Q-learner; settings are its torso's.

    Raises ValueError for continuous actions, which have no largest value.
    """
    from dljax.envs.environment import Discrete
    from dljax.rl import networks

    if not isinstance(env.action, Discrete):
        raise ValueError(f"{config.env} has continuous actions: use experiments.ppo or sac")
    return networks.ActionValues(env.action, torso(config, env, **settings), config.duelling)


def explored(config: Any) -> int:
    """Steps of the task in which random actions decline."""
    return max(round(config.explore * config.steps), 1)


def minibatches(config: Config) -> int:
    """Minibatches of batch_size in a rollout; ValueError where it does not divide it."""
    played = config.environments * config.rollout
    if played % config.batch_size:
        raise ValueError(
            f"batch_size={config.batch_size} must divide the {config.environments} environments "
            f"times {config.rollout} steps of a rollout"
        )
    return played // config.batch_size


def settings(kind: Any, config: Config, **more: Any) -> Any:
    """An algorithm's Settings from the flags of the same names, and what the flags do not name."""
    named = {name: getattr(config, name) for name in kind._fields if hasattr(config, name)}
    return kind(**{**named, **more})


def transformation(config: Config, updates: int) -> optax.GradientTransformation:
    """The optimiser of a Config that is called `updates` times a step of the task."""
    return optimization.transformation(replace(config, steps=config.steps * updates))


def build(config: Any, make: Callable[[Any], Agent]) -> Experiment:
    """An agent as an Experiment for `session.train`, of a Config that is `resolved`.

    Raises ValueError, in one line, for what does not fit together.
    """
    from functools import partial

    import numpy as np
    from experiments.session import Experiment

    from dljax.data import feed
    from dljax.train.parallel import place

    if config.dataset or config.predict:
        raise ValueError("an agent has no data set and predicts nothing: see --env and --play")
    agent = make(config)
    placement = place(
        config.parallel,
        batch_size=config.environments,
        num_seeds=sweep.count(config),
        vectorize_seeds=config.vectorize_seeds,
    )

    def episodes(first: int) -> Any:
        numbers = first + np.arange(config.episodes, dtype=np.int32)
        return feed.examples({"episode": numbers}, config.episodes, placement.batch_multiple)

    return Experiment(
        name=agent.name,
        dataset=config.env,
        task=lambda config: make(config).task,
        feed=feed.empty(),
        placement=placement,
        validation=episodes(0),
        test=episodes(TEST),
        score=lambda values: float(np.nanmean(values["return"])),
        baselines=lambda: {"random": random_play(agent.env, config.episodes)},
        conclude=partial(_conclude, config, agent),
        draw=lambda run, sums, folder: _draw(config, agent, run, folder),
    )


def random_play(env: Environment, episodes: int) -> dict[str, float]:
    """Mean return and length of random actions over the test episodes."""
    import jax
    import jax.numpy as jnp

    from dljax.envs.environment import Discrete
    from dljax.rl import rollout

    def act(memory: Any, obs: Any, start: Any, noise: Any) -> Any:
        return memory, noise

    def noise(key: Any, shape: tuple[int, ...]) -> Any:
        if isinstance(env.action, Discrete):
            return jax.random.randint(key, shape, 0, env.action.n)
        return jax.random.uniform(key, (*shape, *env.action.shape), minval=-1, maxval=1)

    batch = {"episode": TEST + jnp.arange(episodes), "example_mask": jnp.ones(episodes)}
    sums = jax.jit(lambda batch: rollout.measured(env, act, (), noise, batch))(batch)
    return {name: float(total / count) for name, (total, count) in sums.items()}


def _conclude(
    config: Config,
    agent: Agent,
    run: Any,
    metrics: dict[str, Any],
    baselines: dict[str, Any],
) -> Any:
    """Interquartile mean over seeds with its interval; whether chance did as well; exact values."""
    import numpy as np
    from experiments.session import Conclusion

    from dljax.rl import statistics
    from experiments import maps

    values = metrics["return"][~np.isnan(metrics["return"])]  # of the seeds that were not dropped
    found = statistics.interquartile_mean(values)
    lines = []
    if len(values) > 1:
        lines.append(
            f"return of {len(values)} seeds: interquartile mean {found.value:.1f}, "
            f"95 % bootstrap interval {found.low:.1f} to {found.high:.1f}"
        )
    if found.value <= baselines["random"]["return"]:
        lines.append(f"not better than random play: {baselines['random']['return']:.1f}")
    exact, more = maps.compared(config, agent, run)
    return Conclusion({"interquartile_mean": found._asdict(), **exact}, (*lines, *more))


def _draw(config: Config, agent: Agent, run: Any, folder: Path) -> None:
    """Learning curves over steps of the environments and over time; maps of what is learned."""
    from dljax.plots import learning_curves, rl
    from dljax.train.report import read_metrics
    from experiments import maps

    folder.mkdir(parents=True, exist_ok=True)
    series = read_metrics(folder.parent)
    learning_curves(series, folder / "learning_curves.png")
    lines = (folder.parent / "metrics.jsonl").read_text().splitlines()
    seconds = {line["step"]: line["seconds"] for line in map(json.loads, lines)}
    steps, values = series["validation/return"]
    played = steps * config.environments * config.rollout
    clock = [seconds[step] for step in steps.tolist()]
    rl.returns(played, clock, values, folder / "returns.png", config.env)
    maps.draw(config, agent, run, folder / "values.png")


def train(config: Any, make: Callable[[Any], Agent]) -> Outcome:
    """Trains in config.workdir, or continues there."""
    from experiments import session

    config = resolved(config)
    return session.train(config, build(config, make))


def play(config: Any, make: Callable[[Any], Agent]) -> float:
    """Plays a test episode with the first seed of the best checkpoint; draws it; its return."""
    import jax
    import numpy as np

    from dljax.plots import rl
    from dljax.rl import rollout
    from dljax.train.parallel import place
    from experiments import session

    number = config.play
    config, _ = session.saved(config)
    agent = make(config)
    run, step = session.restore(config, agent.task, place("none"))

    def one(states: Any) -> Any:
        act = agent.greedy(jax.tree.map(lambda x: x[0], states))
        return rollout.watch(agent.env, act, agent.memory(1), rollout.silent, TEST + number)

    states, shown, going = jax.device_get(jax.jit(one)(run.states))
    length = int(going.sum())
    states, shown = jax.tree.map(lambda x: np.asarray(x)[:length], (states, shown))
    rewards = shown.reward[:, 0]
    path = Path(config.workdir) / "predictions" / f"episode_{number}.gif"
    rl.episode(config.env, states, shown.obs[:, 0], rewards, path)
    print(
        f"{config.env}, test episode {number}, checkpoint of step {step}: "
        f"return {rewards.sum():.1f} in {length} steps; {path}"
    )
    return float(rewards.sum())


def main(make: Callable[[Any], Agent], config_type: type[Config], doc: str) -> NoReturn:
    """The command line of a script: trains, or plays where --play names an episode."""

    def run(config: Config) -> None:
        if config.play >= 0:
            play(config, make)
        else:
            train(config, make)

    base.main(run, config_type, doc + _tuned(config_type))


def _tuned(config_type: type[Config]) -> str:
    """The table `tuned` for --help."""
    lines = ["\nTuned, where a flag is none:"] if config_type.tuned else []
    for name, flags in config_type.tuned.items():
        values = ", ".join(f"{flag}={value}" for flag, value in flags.items())
        lines.append(f"  {name or 'any environment'}: {values}")
    return "\n".join(lines)
