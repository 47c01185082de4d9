"""The flags of autonomous_driving: the simulator, or recorded drives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from dljax.apps.configs.driving_recordings import RecordingFlags
from dljax.apps.configs.driving_simulation import SimulationFlags
from dljax.run.config import DataConfig, field, of_kind, override
from dljax.run.optimizer_flags import OptimizerConfig

SIMULATION = "simulation"
Kind = Literal["simulation", "recordings"]

FLAGS = {"simulation": SimulationFlags, "recordings": RecordingFlags}


@dataclass(frozen=True, kw_only=True)
class Config(SimulationFlags, RecordingFlags, DataConfig, OptimizerConfig):
    """The flags of autonomous driving; what both kinds of data share stands here.

    tuned: of each kind, the values of flags that are left none.
    """

    name: ClassVar[str] = "autonomous_driving"
    tuned: ClassVar[Mapping[Kind, Mapping[str, Any]]] = {
        "simulation": {"steps": 600, "batch_size": 64, "learning_rate": 1e-3},
        "recordings": {"steps": 200, "batch_size": 64, "learning_rate": 2e-3},
    }

    dataset = override(
        SIMULATION,
        help="simulation, or a folder of recorded drives: Udacity's driving_log.csv and IMG, or "
        "frames with a CSV (docs/autonomous_driving.md)",
    )
    steps = override(0, help="training steps; 0: as tuned", minimum=0)
    convolution = override("native")
    batch_size: int | None = field(
        None, "pictures in a step; none: as tuned", minimum=1, group="optimizer"
    )
    learning_rate: float | None = field(
        None, "highest learning rate of the schedule; none: as tuned", minimum=0, group="optimizer"
    )
    ema = override(0.99)

    model: str = field(
        "small", "network; gru remembers what it saw (in the simulator)",
        choices=("small", "dave2", "gru"),
    )  # fmt: skip
    bins: int = field(0, "bins of angles to classify; 0: regression", minimum=0)
    baselines: bool = field(True, "score simple methods too", resume=False)
    predict: str = field(
        "", "picture or folder of pictures to steer at with the trained network", path=True,
        resume=False, group="use",
    )  # fmt: skip


def kind_of(config: Config) -> Kind:
    """What a data set is."""
    return "simulation" if config.dataset == SIMULATION else "recordings"


def resolved(config: Config) -> Config:
    """The Config with the flags that are none as they are tuned for its data.

    Raises ValueError for a flag of the other kind, which would have no effect.
    """
    if config.bins in (1, 2):
        raise ValueError("--bins takes 3 bins of angles or more, or 0 for regression")
    return of_kind(config, kind_of(config), FLAGS, config.tuned[kind_of(config)])
