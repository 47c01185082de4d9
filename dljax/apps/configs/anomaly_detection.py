"""The flags of anomaly_detection."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import field


@dataclass(frozen=True, kw_only=True)
class Config(OptimizerConfig):
    """The flags of anomaly detection; the defaults are one setting for every corpus."""

    workdir: str = field("runs/anomaly_detection", "folder of the run", path=True, resume=False)
    dataset: str = field("injected", "injected, nab:FOLDER, or a CSV", path=True)
    steps: int = field(1200, "training steps, in which all rows are read once", minimum=1)
    batch_size: int = field(8, "windows of each series in a step", minimum=1)
    learning_rate: float = field(3e-3, "highest learning rate of the schedule", minimum=0)
    schedule: str = field(
        "constant", "learning-rate schedule", choices=("constant", "linear", "cosine", "one_cycle")
    )
    warmup: float = field(0.05, "share of the steps that warm up", minimum=0, maximum=1)
    weight_decay: float = field(1e-3, "weight decay (of kernels alone)", minimum=0)
    clip_norm: float = field(1.0, "largest norm of a series' gradient; 0: no clipping", minimum=0)

    time: str | None = field(None, "column of dates; none: the one that looks like it")
    target: tuple[str, ...] = field((), "columns of values; none: all that are numeric")
    labels: str | None = field(None, "column that is not 0 where a row is anomalous")
    detector: str = field(
        "forecast", "whose errors are judged", choices=("forecast", "autoencoder")
    )
    cell: str = field("gru", "recurrent layer", choices=("gru", "lstm", "rnn"))
    features: int = field(24, "its width", minimum=1)
    depth: int = field(1, "layers", minimum=1)
    window: int = field(32, "rows of a window", minimum=2)
    alarm: float = field(6.5, "surprise that raises an alarm, nats", minimum=0, resume=False)
    rest: float = field(
        0.03, "rest after an alarm, as a share of the rows so far", minimum=0, resume=False
    )
    baselines: bool = field(True, "score simple detectors too", resume=False)
