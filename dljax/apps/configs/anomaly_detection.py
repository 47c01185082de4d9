"""The flags of anomaly_detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of anomaly detection; the defaults are one setting for every corpus."""

    name: ClassVar[str] = "anomaly_detection"
    not_served: ClassVar[tuple[str, ...]] = ("data_dir", "choose_by", "patience", "dtype")

    dataset = override("cycles", help="cycles, injected, nab:FOLDER, or a CSV")
    steps = override(1200, help="training steps, in which all rows are read once")
    batch_size = override(8, help="windows of each series in a step")
    learning_rate = override(3e-3)
    schedule = override("constant")
    warmup = override(0.05)
    weight_decay = override(1e-3)
    clip_norm = override(1.0, help="largest norm of a series' gradient; 0: no clipping")

    time: str | None = field(None, "column of dates; none: detected")
    target: tuple[str, ...] = field((), "columns of values; none: all that are numeric")
    series: str | None = field(
        None, "column that names the series of each row; none: detected; 'none': there is one"
    )
    decimal: str = field(
        "auto", "decimal sign of the numbers; auto: as the file tells",
        choices=("auto", "point", "comma"),
    )  # fmt: skip
    missing: tuple[str, ...] = field((), "words and numbers that mean missing, such as -999")
    labels: str | None = field(
        None, "column that is positive in anomalous rows (or -1 beside 1); none: no labels"
    )
    detector: str = field(
        "forecast", "network whose errors are scored", choices=("forecast", "autoencoder")
    )
    cell: str = field("gru", "recurrent layer", choices=("gru", "lstm", "rnn"))
    features: int = field(24, "its width", minimum=1)
    depth: int = field(1, "layers", minimum=1)
    window: int = field(32, "rows of a window", minimum=2)
    alarm: float = field(7.0, "surprise that raises an alarm, in nats", minimum=0, resume=False)
    rest: float = field(
        0.03, "rest after an alarm, as a share of the rows so far", minimum=0, resume=False
    )
    baselines: bool = field(True, "score simple detectors too", resume=False)

    predict: str = field(
        "", "CSV to detect anomalies in, with the run's settings", path=True, resume=False,
        group="use",
    )  # fmt: skip
    evaluate: str = field(
        "", "labelled corpus to score the run's settings on: as dataset", path=True, resume=False,
        group="use",
    )  # fmt: skip
