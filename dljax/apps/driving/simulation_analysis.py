"""What a driver of the simulator reaches on its test drives: disturbances, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax import plots
from dljax.cnn.driving import closed_loop
from dljax.cnn.driving.closed_loop import CONDITIONS, Condition, Drive, Driver
from dljax.data.feed import MASK
from dljax.envs.driving.environment import Settings
from dljax.run.experiment import Analysis
from dljax.train.loop import Run
from dljax.train.supervised import State

DRIVEN, DRAWN = 40, 12  # drives for pictures; those of them that went worst, from above


def analyze(
    settings: Settings, driver: Callable[[State], Driver], laps: int, disturbances: bool
) -> Callable[[Run, dict, dict], Analysis]:
    """The function of an Experiment that drives all test laps again, disturbed, and draws them.

    driver: of a trained network.
    """

    def function(run: Run, metrics: dict, baselines: dict) -> Analysis:
        del metrics, baselines
        networks, lines, found = run.states.network, [], {}
        scored = disturbed(settings, driver, laps)
        for name, condition in CONDITIONS.items() if disturbances else ():
            each = scored(networks, condition)
            found[name] = {k: x.tolist() for k, x in each.items()}
            lines.append(f"{name}: {_told({k: x.mean() for k, x in each.items()})}")

        def draw(folder: Path) -> None:
            drawn(folder, settings, driven(settings, driver, networks, min(laps, DRIVEN)))

        return Analysis({"disturbances": found}, tuple(lines), {}, draw)

    return function


def _told(found: dict[str, float]) -> str:
    return (
        f"{found['completed']:.1%} of the route, autonomy {found['autonomy']:.1%}, "
        f"{found['interventions_per_km']:.2f} interventions/km, "
        f"{found['lateral_mean']:.2f} m from the centre"
    )


def disturbed(
    settings: Settings, driver: Callable[[State], Driver], laps: int
) -> Callable[[State, Condition], dict[str, np.ndarray]]:
    """The function (networks, condition) -> scores [seeds], one program for each delay."""

    @partial(jax.jit, static_argnames="delay")
    def scores(networks: State, delay: int, **others: Array) -> dict[str, Any]:
        batch = {"drive": jnp.arange(laps), MASK: jnp.ones(laps)}
        condition = Condition(delay, **others)

        def of_seed(network: State) -> dict[str, Any]:
            return closed_loop.evaluate(settings, driver(network), batch, condition)

        return jax.lax.map(of_seed, networks)

    def function(networks: State, condition: Condition) -> dict[str, np.ndarray]:
        found = scores(networks, **condition._asdict())
        return {k: np.asarray(a / b) for k, (a, b) in found.items()}

    return function


def driven(
    settings: Settings, driver: Callable[[State], Driver], networks: State, laps: int
) -> Drive:
    """The first test drives [seeds, laps, T] of all seeds."""

    @jax.jit
    def drives(networks: State) -> Drive:
        def of_seed(network: State) -> Drive:
            one = partial(closed_loop.drive, settings, driver(network))
            return jax.vmap(lambda number: one(number)[0])(jnp.arange(laps))

        return jax.lax.map(of_seed, networks)

    return jax.device_get(drives(networks))


def drawn(folder: Path, settings: Settings, drives: Drive) -> None:
    """The drives that went worst from above, and the errors by the road's curvature."""
    aside = np.where(drives.driving, np.abs(drives.lateral), 0)
    worst = np.argsort(-(drives.intervened.sum((0, 2)) * 100 + aside.max((0, 2))), kind="stable")
    worst = worst[:DRAWN]
    roads, ways, titles = [], [], []
    road = jax.jit(partial(closed_loop.road, settings))
    for number in worst.tolist():
        track, _, _ = road(number)
        roads.append((np.asarray(track.position), float(track.half_width)))
        own = [(drives.x[s, number], drives.y[s, number]) for s in range(len(drives.x))]
        on = drives.driving[:, number]
        ways.append(
            [
                (np.stack(xy, -1)[on[s]], drives.intervened[s, number][on[s]])
                for s, xy in enumerate(own)
            ]
        )
        titles.append(
            f"drive {number}: {aside[:, number].max():.1f} m at the most, "
            f"{int(drives.intervened[:, number].sum())} times off"
        )
    plots.driving.from_above(roads, ways, titles, folder / "tracks.png")
    on = drives.driving
    plots.driving.errors_in_bends(
        drives.curvature[on], {"network": drives.lateral[on]}, folder / "errors_in_bends.png"
    )
