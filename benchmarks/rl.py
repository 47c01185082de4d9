"""PPO on CartPole-v1: dljax, a whole run in one jit (PureJaxRL's way), stable-baselines3.

    python -m benchmarks.rl [--workdir=DIR] [--repeats=3] [--updates=976] [--sb3_steps=8192]

All have PureJaxRL's settings: 4 environments of 128 steps, 4 epochs of 4 minibatches, two networks
of 2 x 64 tanh units, Adam at a rate that falls from 2.5e-4 to 0 over the run; the first two step
the same gymnax. In one run, in turn:

- steps of environments a second, of one training and of eight, and what it took to compile;
- the steps until 475, the mean return of the episodes that end within twenty updates, over eight
  seeds; and the seconds that a single training needs for so many, compiling apart.

"dljax's defaults" are those of experiments.ppo. stable-baselines3 is timed alone, and left out
where it isn't installed; its own time to 475 is measured if --sb3_steps is large enough. Prints a
table; --workdir gets summary.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import contest, whole_run
from benchmarks.whole_run import ENVIRONMENTS, ROLLOUT
from dljax.apps import ppo as app
from dljax.apps.configs.agent import resolved
from dljax.data import feed
from dljax.envs import gymnax_environments, wrappers
from dljax.rl import networks, ppo
from dljax.train import loop, optim, report
from dljax.train.parallel import place

WINDOW, SEEDS, GOAL = 20, 8, 475.0
PLAYED = ENVIRONMENTS * ROLLOUT


class Trained(NamedTuple):
    """seconds of a training less its compiling. returns [seeds, windows] of the episodes."""

    seconds: float
    returns: np.ndarray


class Contestant(NamedTuple):
    """updates of a training, seconds to compile, and what trains once."""

    updates: int
    compiled: float
    train: Callable[[], Trained]


def configured(updates: int) -> tuple[loop.Task, int]:
    """Our task with PureJaxRL's settings, and its updates."""
    env = wrappers.flatten(gymnax_environments.make("CartPole-v1"))
    calls = updates * whole_run.EPOCHS * whole_run.MINIBATCHES
    rate = optim.schedule("linear", whole_run.RATE, calls)
    tx = optim.optimizer("adam", rate, clip_norm=whole_run.NORM)
    network = networks.ActorCritic(env.action)
    settings = ppo.Settings(
        environments=4, minibatches=4, value_clip=0.2, entropy_weight=0.01,
        normalize_observations=False, scale_rewards=False,
    )  # fmt: skip
    return ppo.task(env, network, tx, settings), updates


def default() -> tuple[loop.Task, int]:
    """The task of experiments.ppo without a flag, and its updates, of as many steps each."""
    config = resolved(app.Config())
    if config.environments * config.rollout != PLAYED:
        raise ValueError(f"the defaults of experiments.ppo are no longer {PLAYED} steps an update")
    return app.make(config).task, config.steps // WINDOW * WINDOW


def ours(task: loop.Task, updates: int, seeds: int, vectorize_seeds: str = "auto") -> Contestant:
    """In the shared loop, twenty updates a dispatch, each followed by its metrics on the host."""
    placement = place("none", num_seeds=seeds, vectorize_seeds=vectorize_seeds)
    numbers = range(seeds)

    begin = time.perf_counter()
    advance = loop.advance(task, feed.empty(), placement, WINDOW)
    run = jax.block_until_ready(loop.start(task, numbers, placement))
    jax.block_until_ready(advance(run, (), WINDOW))
    compiled = time.perf_counter() - begin

    def train() -> Trained:
        run, returns = loop.start(task, numbers, placement), []
        begin = time.perf_counter()
        for _ in range(updates // WINDOW):
            run, sums, _ = advance(run, (), WINDOW)
            total, count = jax.device_get(sums["return"])
            returns.append(total / np.maximum(count, 1))
        return Trained(time.perf_counter() - begin, np.stack(returns, 1))

    return Contestant(updates, compiled, train)


def whole(updates: int, seeds: int) -> Contestant:
    """The whole training in one program, of several seeds by vmap."""
    keys = jax.random.split(jax.random.key(0), seeds)
    begin = time.perf_counter()
    program = jax.jit(jax.vmap(whole_run.training(updates)) if seeds > 1 else one(updates))
    program = program.lower(keys).compile()
    compiled = time.perf_counter() - begin

    def train() -> Trained:
        begin = time.perf_counter()
        _, (done, total) = jax.block_until_ready(program(keys))
        seconds = time.perf_counter() - begin
        windows = (seeds, updates // WINDOW, -1)
        done, total = (
            np.asarray(x).reshape(seeds, updates, -1)[:, : updates // WINDOW * WINDOW]
            for x in (done, total)
        )
        count = done.reshape(windows).sum(-1)
        return Trained(seconds, total.reshape(windows).sum(-1) / np.maximum(count, 1))

    return Contestant(updates, compiled, train)


def one(updates: int) -> Callable[[jax.Array], Any]:
    """A training of the first of some keys, without a seed axis in the program."""
    return lambda keys: whole_run.training(updates)(keys[0])


def until_goal(returns: np.ndarray) -> np.ndarray:
    """Steps of the environments after which each seed's returns [seeds, windows] reach GOAL.

    Infinite for a seed that never does.
    """
    reached = returns >= GOAL
    first = np.where(reached.any(1), reached.argmax(1) + 1.0, np.inf)
    return first * WINDOW * PLAYED


def baselines3(steps: int) -> tuple[float, float] | None:
    """stable-baselines3: steps a second, and seconds until its last 100 episodes reach GOAL."""
    try:
        import torch
        from stable_baselines3 import PPO
        from stable_baselines3.common.callbacks import BaseCallback
        from stable_baselines3.common.env_util import make_vec_env
    except ImportError as error:
        print(f"stable-baselines3 is left out: {error} (pip install stable-baselines3)")
        return None

    class Watch(BaseCallback):
        """Stops at the goal, and remembers when."""

        def _on_training_start(self) -> None:
            self.begin, self.at = time.perf_counter(), np.inf

        def _on_rollout_start(self) -> None:
            self.passed = time.perf_counter() - self.begin

        def _on_step(self) -> bool:
            last = [episode["r"] for episode in self.model.ep_info_buffer]
            if len(last) == 100 and np.mean(last) >= GOAL:
                self.at = time.perf_counter() - self.begin
            return not np.isfinite(self.at)

    torch.set_num_threads(1)  # faster than more for networks of this size
    model = PPO(
        "MlpPolicy", make_vec_env("CartPole-v1", ENVIRONMENTS), n_steps=ROLLOUT, batch_size=128,
        n_epochs=4, learning_rate=lambda left: left * whole_run.RATE, clip_range_vf=0.2,
        ent_coef=whole_run.ENTROPY, seed=0, device="cpu",
    )  # fmt: skip
    watch = Watch()
    begin = time.perf_counter()
    model.learn(steps, callback=watch)
    return model.num_timesteps / (time.perf_counter() - begin), watch.at


def main() -> None:
    """Trains, prints the tables, writes summary.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workdir", type=Path, default=Path("runs/benchmark_rl"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--updates", type=int, default=976, help="of 512 steps each")
    parser.add_argument("--sb3_steps", type=int, default=8192)
    args = parser.parse_args()
    begin, updates = time.perf_counter(), args.updates // WINDOW * WINDOW
    metrics: dict[str, Any] = {}

    for _ in range(2):  # the second time nothing in jax itself is traced for the first one
        single = {
            "dljax": ours(*configured(updates), 1),
            "whole run": whole(updates, 1),
            "dljax's defaults": ours(*default(), 1),
        }
    rates: dict[str, list[float]] = {name: [] for name in single}
    for _ in range(args.repeats):
        for name, contestant in single.items():
            rates[name].append(contestant.updates * PLAYED / contestant.train().seconds)
    eight = {
        "dljax": ours(*configured(updates), SEEDS),
        "dljax, vmap": ours(*configured(updates), SEEDS, "on"),
        "whole run": whole(updates, SEEDS),
        "dljax's defaults": ours(*default(), SEEDS),
    }
    trained = {name: contestant.train() for name, contestant in eight.items()}

    rows = []
    for name, together in trained.items():
        alone = rates[name.split(",")[0]]
        rate, steps = float(np.median(alone)), until_goal(together.returns)
        played = eight[name].updates * PLAYED
        ratio = together.seconds / (played / rate)
        compiled = single[name].compiled if name in single else eight[name].compiled
        rows.append(
            (
                name,
                f"{rate:,.0f} ({min(alone):,.0f} to {max(alone):,.0f})",
                f"{compiled:.1f}",
                f"{SEEDS * played / together.seconds:,.0f}",
                f"{ratio:.1f}",
                f"{np.median(steps):,.0f} ({np.isfinite(steps).sum()} of {SEEDS} seeds)",
                f"{np.median(steps) / rate:.1f}",
            )
        )
        metrics[f"{name}: steps a second"] = np.array(alone)
        metrics[f"{name}: eight seeds / one"] = np.array([ratio])
        metrics[f"{name}: seconds to compile"] = np.array([compiled])
        metrics[f"{name}: steps to {GOAL:.0f}"] = steps
    known = baselines3(args.sb3_steps)
    if known:
        metrics["stable-baselines3: steps a second"] = np.array([known[0]])
        found = f"{known[1]:.1f}" if np.isfinite(known[1]) else f"not within {args.sb3_steps}"
        rows.append(("stable-baselines3", f"{known[0]:,.0f}", "", "", "", "", found))
    head = ("PPO, CartPole-v1", "steps/s, one training", "compile, s", f"steps/s, {SEEDS} seeds",
            "time of eight / one", f"steps to {GOAL:.0f}, median", "seconds of one")  # fmt: skip
    print(contest.table(head, rows))
    ratio = np.array(rates["dljax"]) / np.array(rates["whole run"])
    metrics["dljax / whole run, steps a second"] = ratio
    print(f"dljax / whole run, of trainings side by side: median {np.median(ratio):.2f}")
    if known:
        metrics["dljax / stable-baselines3"] = np.array(rates["dljax"]) / known[0]
        print(f"dljax / stable-baselines3: {np.median(rates['dljax']) / known[0]:.0f}")
    contest.finish(
        "rl", args.workdir, {"repeats": args.repeats, "updates": updates}, metrics, begin
    )
    print(f"{report.device_name()}; {report.versions()}; {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
