"""Where metrics and pictures go besides a run's own files: TensorBoard, Weights & Biases.

Each tracker has begin(step), before training goes on from there; write(step, metrics), metrics [S]
by name; pictures(step, paths), at the end; close().
"""

from __future__ import annotations

import functools
import importlib
import shutil
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dljax.train.files import named, replace
from dljax.train.metrics import describe

Metrics = Mapping[str, np.ndarray]


class TensorBoard:
    """Event files: of scalars the mean, and with 2 to 8 seeds each of them as a run of its own.

    The pictures are the run "plots", written anew each time.

    Written here and now through tensorboardX's event writer: the queue and thread of its
    SummaryWriter would wait for ever once the disk is full. Synced to disk every 2 seconds at most.
    """

    def __init__(self, directory: Path):
        self._directory = directory
        self._writers: dict[str, Any] = {}
        self._purge: int | None = None
        self._synced = -1.0

    def write(self, step: int, metrics: Metrics) -> None:
        means = {name: describe(value)["mean"] for name, value in metrics.items()}
        seeds = max((len(value) for value in metrics.values()), default=1)
        with named(self._directory):
            self._write("", step, means)
            for seed in range(seeds if 2 <= seeds <= 8 else 0):
                self._write(f"seed_{seed}", step, {n: v[seed] for n, v in metrics.items()})
            if time.monotonic() - self._synced > 2:
                for writer in self._writers.values():
                    writer.flush()
                self._synced = time.monotonic()

    def begin(self, step: int) -> None:
        """Makes TensorBoard hide what an earlier session wrote beyond `step`."""
        self.close()
        self._purge = step + 1

    def pictures(self, step: int, paths: Sequence[Path]) -> None:
        folder = self._directory / "plots"
        with named(folder):
            shutil.rmtree(folder, ignore_errors=True)
            writer = self._open(folder)
            for path in paths:
                with Image.open(path) as picture:
                    width, height = picture.size
                image = {"height": height, "width": width, "colorspace": 3}
                image["encoded_image_string"] = path.read_bytes()
                value = {"tag": f"plots/{path.stem}", "image": image}
                self._send(writer, step=step, summary={"value": [value]})
            writer.close()

    def close(self) -> None:
        writers, self._writers = self._writers, {}
        with named(self._directory):
            for writer in writers.values():
                writer.close()

    def _write(self, run: str, step: int, scalars: Mapping[str, float]) -> None:
        if run not in self._writers:
            self._writers[run] = self._open(self._directory / run)
        finite = {name: float(value) for name, value in scalars.items() if np.isfinite(value)}
        values = [{"tag": name, "simple_value": value} for name, value in finite.items()]
        self._send(self._writers[run], step=step, summary={"value": values})

    def _open(self, directory: Path) -> Any:
        event_file_writer = _import_tensorboardx()
        directory.mkdir(parents=True, exist_ok=True)
        writer = event_file_writer.EventsWriter(str(directory / "events"), f".{time.time_ns()}")
        if self._purge is not None:  # a session's start hides what an earlier one wrote from there
            self._send(writer, step=self._purge, session_log={"status": "START"})
        return writer

    def _send(self, writer: Any, **fields: Any) -> None:
        event = _import_tensorboardx().event_pb2.Event
        writer.write_event(event(wall_time=time.time(), **fields))


class WeightsAndBiases:
    """A run of https://wandb.ai: mean and deviation over the seeds, and the pictures.

    project: its name there. directory: the workdir; keeps the run's id, so that a run that is
    continued here is continued there. config: its flags. Where and whether it is uploaded is
    wandb's own affair (`wandb login`, WANDB_MODE=offline).
    Raises ValueError, in one line, where the package is not installed or can't begin.
    """

    def __init__(self, project: str, directory: Path, config: Mapping[str, Any]):
        try:
            self._wandb = importlib.import_module("wandb")
        except ImportError as error:
            why = "" if getattr(error, "name", None) == "wandb" else f" ({error})"
            raise ValueError(
                f"--wandb needs the package wandb{why}: pip install wandb, or leave the flag out"
            ) from error
        self._project, self._directory, self._config = project, directory, config
        self._run: Any = None

    def begin(self, step: int) -> None:
        path = self._directory / "wandb_id.txt"
        if not path.exists():
            replace(path, uuid.uuid4().hex[:12])
        try:
            self._run = self._wandb.init(
                project=self._project,
                name=self._directory.resolve().name,
                id=path.read_text().strip(),
                resume="allow",
                dir=str(self._directory),
                config=dict(self._config),
            )
        except Exception as error:  # of its own many kinds: not logged in, no network, ...
            raise ValueError(f"--wandb: {type(error).__name__}: {error}") from error

    def write(self, step: int, metrics: Metrics) -> None:
        described = {name: describe(value) for name, value in metrics.items()}
        values = {name: x["mean"] for name, x in described.items()}
        values |= {f"{n}_std": x["std"] for n, x in described.items() if len(x["per_seed"]) > 1}
        self._run.log({n: x for n, x in values.items() if np.isfinite(x)}, step=step)

    def pictures(self, step: int, paths: Sequence[Path]) -> None:
        shown = {f"plots/{path.stem}": self._wandb.Image(str(path)) for path in paths}
        self._run.log(shown, step=step)

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
            self._run = None


@functools.cache
def _import_tensorboardx() -> Any:
    """tensorboardX's event writer, imported without PyTorch.

    It imports torch for a type annotation wherever that is installed, for 4.5 of its 4.7 seconds.
    """
    hide = "torch" not in sys.modules
    if hide:
        sys.modules["torch"] = None
    try:
        return importlib.import_module("tensorboardX.event_file_writer")
    finally:
        if hide:
            del sys.modules["torch"]
