"""Small corpora of waves with anomalies, for the tests of anomaly detection."""

import json
from pathlib import Path

import numpy as np

from dljax.data.anomaly_series import Labelled
from dljax.rnn.anomaly import detector
from dljax.rnn.anomaly.prequential import Stack
from dljax.train import optim
from dljax.train.loop import Task

START = np.datetime64("2024-01-01", "s")


def wave(rows: int, seed: int, step: int = 3600, windows=()) -> Labelled:
    """A daily wave with noise, far off in the rows of its windows."""
    rng = np.random.default_rng(seed)
    time = START + np.arange(rows) * np.timedelta64(step, "s")
    values = 5 + np.sin(2 * np.pi * np.arange(rows) * step / 86400) + 0.1 * rng.normal(size=rows)
    for first, last in windows:
        values[first : last + 1] += 6
    return Labelled(f"waves/{seed}.csv", time, values, tuple(windows))


def waves(count: int, rows: int = 240) -> list[Labelled]:
    """Waves of different lengths."""
    return [wave(rows - 7 * (i % 5), i) for i in range(count)]


def make_task(networks: detector.Detector, stacked: Stack) -> Task:
    tx = optim.optimizer("adamw", 1e-2, weight_decay=1e-3, clip_norm=1.0)
    return detector.task(networks, tx, *stacked.targets.shape)


def write_nab(folder: Path, corpus: list[Labelled], others: tuple[str, ...] = ()) -> str:
    """The corpus in NAB's layout, its labels also naming `others`, which are not there."""
    labels = {name: [] for name in others}
    for series in corpus:
        path = folder / "data" / series.name
        path.parent.mkdir(parents=True, exist_ok=True)
        stamps = [str(t).replace("T", " ") for t in series.time]
        lines = [f"{t},{v!r}" for t, v in zip(stamps, series.values.tolist(), strict=True)]
        path.write_text("\n".join(["timestamp,value", *lines]) + "\n")
        labels[series.name] = [
            [f"{stamps[first]}.000000", f"{stamps[last]}.000000"] for first, last in series.windows
        ]
    (folder / "labels").mkdir()
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    return f"nab:{folder}"
