"""Trainings of `benchmarks.gpu` that end when a test score is reached: seconds until then."""

from __future__ import annotations

import contextlib
import dataclasses
import lzma
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_cases import Asked, Case, Found, LeftOut, name_of
from dljax.apps import image_classification, language_modeling
from dljax.run.config import Config
from dljax.run.experiment import Experiment
from dljax.train import driver, report

ACCURACY, NATS = 0.94, 1.48  # on CIFAR-10's test images; a character of tiny-shakespeare's end
EPOCHS = (15, 30)  # of CIFAR-10, in turn, until one is enough


class Enough(Exception):
    """A training has reached its goal, or has no more time."""


class Watch(report.Report):
    """Ends a training, by raising Enough, when a test score is good or the time is over.

    first: seconds until the first steps were done. step, seconds, score: of the last evaluation,
    seconds being those of training alone.
    """

    def __init__(self, metric: str, good: Callable[[float], bool], deadline: float):
        super().__init__(None, 0, quiet=True)
        self._metric, self._good, self._deadline = metric, good, deadline
        self._begin = time.perf_counter()
        self.first: float | None = None
        self.step, self.seconds, self.score, self.reached = 0, 0.0, np.nan, False

    def progress(self, step: int, metrics: report.Metrics, steps_per_second: float) -> None:
        self.first = self.first or time.perf_counter() - self._begin
        if time.perf_counter() > self._deadline:
            raise Enough

    def line(self, step: int, metrics: report.Metrics, seconds: float) -> None:
        self.step, self.seconds = step, seconds
        self.score = float(metrics[f"validation/{self._metric}"][0])
        self.reached = self._good(self.score)
        if self.reached:
            raise Enough


def watched(
    experiment: Experiment, config: Config, metric: str, good: Callable[[float], bool], end: float
) -> Watch:
    """Trains one seed, scored on the test part, until that is good or the time is over."""
    watch = Watch(metric, good, end)
    with contextlib.suppress(Enough):
        driver.train(
            experiment.task(config),
            experiment.feed,
            steps=config.steps,
            seeds=(config.seed,),
            placement=experiment.placement,
            evaluation=experiment.test,
            eval_every=config.eval_every,
            summarise=experiment.summarise,
            report=watch,
        )
    return watch


@contextlib.contextmanager
def data_file(asked: Asked, flag: str, ending: str, write: Callable[[Path], Any]) -> Iterator[str]:
    """The file that a flag names, unpacked where it ends in .xz; or a tiny one that `write` makes.

    Raises LeftOut where there is neither.
    """
    given = Path(getattr(asked, flag))
    with tempfile.TemporaryDirectory() as folder:
        if getattr(asked, flag) and given.suffix == ".xz":
            path = Path(folder) / given.stem
            with lzma.open(given) as packed, path.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
        elif getattr(asked, flag):
            path = given
        elif asked.tiny:
            path = Path(folder) / f"tiny.{ending}"
            write(path)
        else:
            raise LeftOut(f"--{flag} names no file: docs/gpu.md says how to bring it")
        yield str(path)


def cifar(asked: Asked) -> Iterator[Case]:
    """FastNet until 94 % of CIFAR-10's test images are right; the time is that of training."""
    goal = 0.0 if asked.tiny else ACCURACY

    def write(path: Path) -> None:
        rng = np.random.default_rng(0)
        parts = {}
        for part, count in (("train", 32), ("val", 8), ("test", 8)):
            parts[f"{part}_images"] = rng.integers(0, 256, (count, 12, 12, 3), np.uint8)
            parts[f"{part}_labels"] = np.arange(count)[:, None] % 4
        np.savez(path, **parts)

    def measure(deadline: float) -> Found:
        with data_file(asked, "cifar", "npz", write) as file:
            config = image_classification.Config(
                dataset=file, quiet=True, validation=0.0, baselines=False, num_seeds=1,
                model="fastnet", widths=(4, 4, 4) if asked.tiny else (64, 256, 256),
                dtype="bfloat16", batch_size=8 if asked.tiny else 512, optimizer="muon",
                learning_rate=0.015, schedule="linear", weight_decay=0.1, label_smoothing=0.2,
                crop=2, flip=True, shift_views=1, rotation=0.0, zoom=0.0, shear=0.0,
            )  # fmt: skip
            experiment = image_classification.build(config)
        count, tried = len(experiment.feed.arrays["label"]), []
        for epochs in (1,) if asked.tiny else EPOCHS:
            steps = epochs * count // config.batch_size
            config = dataclasses.replace(config, steps=steps, eval_every=steps)
            end = watched(experiment, config, "accuracy", lambda x: x >= goal, deadline)
            if not end.step:
                tried.append(f"no time for {epochs} epochs")
                break
            tried.append(f"{end.score:.2%} after {epochs} epochs")
            if end.reached:
                break
        seconds = np.array([end.seconds if end.reached else np.nan])
        return Found(seconds, "s", end.first, note=", ".join(tried))

    yield Case(name_of(asked, f"CIFAR-10 to {ACCURACY:.0%}"), "dljax", measure)


def text(asked: Asked) -> Iterator[Case]:
    """An LSTM until the last tenth of tiny-shakespeare has 1.48 nats a character."""
    goal = np.inf if asked.tiny else NATS

    def measure(deadline: float) -> Found:
        def write(path: Path) -> None:
            path.write_text("To be, or not to be. " * 60)

        with data_file(asked, "text", "txt", write) as file:
            config = language_modeling.Config(
                dataset=file, quiet=True, validation=0.0, baselines=False,
                features=4 if asked.tiny else 768, dropout=0.4, bptt=8 if asked.tiny else 64,
                batch_size=4 if asked.tiny else 32, steps=2 if asked.tiny else 8000,
                eval_every=2 if asked.tiny else 500,
            )  # fmt: skip
            experiment = language_modeling.build(config)
        end = watched(experiment, config, "nats", lambda x: x <= goal, deadline)
        seconds = np.array([end.seconds if end.reached else np.nan])
        note = f"goal {goal} nats: {end.score:.4f} after {end.step} steps"
        return Found(seconds, "s", end.first, note=note)

    yield Case(name_of(asked, "tiny-shakespeare to the goal"), "dljax", measure)
