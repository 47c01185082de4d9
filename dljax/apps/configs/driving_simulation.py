"""The flags of autonomous_driving that only training in the simulator uses."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import Config, field


@dataclass(frozen=True, kw_only=True)
class SimulationFlags(Config):
    """What a driver that learns in the simulator is told besides."""

    method: str = field(
        "dagger", "how a teacher is imitated", choices=("cloning", "recovery", "dagger")
    )
    teacher: str = field(
        "pure_pursuit", "who shows how to steer", choices=("pure_pursuit", "stanley", "pd")
    )
    env_params: tuple[str, ...] = field(
        (), "of the simulator, each name=value: speed=10, slip=true, height=48", group="run"
    )
    tracks: int = field(256, "that are trained on", minimum=2)
    cars: int = field(16, "that drive side by side", minimum=1)
    rollout: int = field(2, "steps of each car before an update", minimum=1)
    memory: int = field(2000, "places of each car that are remembered", minimum=2)
    sequence: int = field(
        16, "consecutive pictures of a car that a network with a memory learns from", minimum=1
    )
    handover: float = field(
        0.3, "share of the steps after which the network drives all cars (dagger)", minimum=0,
        maximum=1,
    )  # fmt: skip
    recovery_shift: float = field(1.5, "largest shift of views (recovery), m", minimum=0)
    recovery_turn: float = field(0.2, "largest turn of views (recovery), rad", minimum=0)
    laps: int = field(
        40, "test drives: tracks, one way and the other in turn", minimum=2, resume=False
    )
    disturbances: bool = field(
        True, "also test in fog, glare, with a moved camera, delay and a camera that fails",
        resume=False,
    )  # fmt: skip
    play: int = field(
        -1, "draw the test drive of this number as a GIF, with the trained network", minimum=-1,
        resume=False, group="use",
    )  # fmt: skip
