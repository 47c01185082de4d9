"""The driving simulator: steps a second beside gymnasium's CarRacing-v3, in one run.

    python -m benchmarks.driving [--workdir=DIR] [--repeats=5]

With the camera at CarRacing's 96x96 and at our 64x160, and without it; 1, 64 and 1,024 cars in one
compiled loop, each on a road of its own, steered by a constant. CarRacing-v3 steps in one process,
also when its picture is asked for, as it is always drawn. Memory a car is the state that the loop
carries and the picture. Prints a table; --workdir gets summary.json with the ratios of the
repetitions. Needs `pip install "gymnasium[box2d]"` (which needs swig).
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import contest
from benchmarks.contest import Steps
from dljax.envs.driving import environment
from dljax.envs.driving.camera import View
from dljax.envs.driving.environment import Settings

CARS = (1, 64, 1024)
VIEWS = {"64x160": View(64, 160), "96x96": View(96, 96), "state": None}
PEER = "CarRacing-v3"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--repeats", type=int, default=5, help="timed stretches of each")
    args = parser.parse_args()
    begin = time.perf_counter()
    contestants, inner, size = {PEER: car_racing()}, {PEER: 1}, {}
    for view in VIEWS:
        for cars in CARS:
            name = f"{view}, {cars} cars" if cars > 1 else f"{view}, 1 car"
            times = max(1, (64 if VIEWS[view] else 50_000) // cars)
            contestants[name], size[name] = simulation(Settings(view=VIEWS[view]), cars, times)
            inner[name] = times * cars
    times = contest.interleaved(contestants, args.repeats)
    rates = {name: 1e3 * inner[name] / ms for name, ms in times.items()}
    rows, metrics = [], {"car_racing": rates[PEER]}
    for name, rate in rates.items():
        ratio = rate / rates[PEER]
        kilobytes = f"{size[name] / 1e3:.1f}" if name in size else ""
        rows.append((name, *contest.spread(rate, 0), *contest.spread(ratio, 1), kilobytes))
        metrics["ratio_" + name.replace(", ", "_").replace(" ", "_")] = ratio
    head = ("", "steps/s", "min to max", f"times {PEER}", "min to max", "kB a car")
    print(contest.table(head, rows))
    contest.finish("driving", args.workdir, {"repeats": args.repeats}, metrics, begin)


def simulation(settings: Settings, cars: int, times: int) -> tuple[Steps, int]:
    """A contestant whose step steps all cars `times` times; bytes of a car."""
    key = jax.random.key(0)
    states, obs = jax.jit(jax.vmap(partial(environment.reset, settings)))(
        jax.random.split(key, cars)
    )
    size = sum(x.nbytes for x in jax.tree.leaves((states, obs))) // cars
    action = jnp.full((cars, 1), 0.05)

    @jax.jit
    def drive(states):
        def one(states, _):
            states, seen = jax.vmap(partial(environment.step, settings, key))(states, action)
            return states, seen.obs.mean()

        return jax.lax.scan(one, states, None, length=times)

    jax.block_until_ready(drive(states))

    def steps(k: int) -> float:
        for _ in range(k):
            _, seen = drive(states)
        return float(seen[-1])

    return steps, size


def car_racing() -> Steps:
    """A contestant that steps gymnasium's, straight on; SystemExit where it isn't installed."""
    try:
        import Box2D  # noqa: F401
        import gymnasium
    except ImportError:
        raise SystemExit('benchmarks.driving needs pip install "gymnasium[box2d]"') from None
    env = gymnasium.make(PEER, max_episode_steps=10**9)
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape, np.float32)

    def steps(k: int) -> float:
        for _ in range(k):
            seen, *_ = env.step(action)
        return float(seen.mean())

    return steps


if __name__ == "__main__":
    main()
