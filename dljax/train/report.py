"""What a run prints and logs: progress bar, lines, metrics.jsonl, TensorBoard, summary.json.

Everything here runs on the host, between dispatches. Metrics arrive as one number a seed, [S].
"""

import contextlib
import functools
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np
from tqdm import tqdm

import dljax
from dljax.train.files import append, jsonable, named, replace, write_json
from dljax.train.metrics import describe

Metrics = Mapping[str, np.ndarray]

LINE = 100  # columns of a line, at most
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class Report:
    """Progress and logs of one run; a context manager.

    workdir: where metrics.jsonl and tensorboard/ go; None writes no file.
    quiet: prints nothing but warnings. stream: standard error by default.
    headline: the metrics that lines and bar show (the logs hold all); none: the first two.
    The bar is drawn only on a terminal, at most every 0.1 s; elsewhere each `line` is a plain line.
    """

    def __init__(
        self,
        workdir: Path | str | None,
        total_steps: int,
        *,
        quiet: bool = False,
        headline: Sequence[str] = (),
        stream: TextIO | None = None,
    ):
        self._stream = stream or sys.stderr
        self._quiet, self._headline = quiet, tuple(headline)
        self._total = total_steps
        self._bar: tqdm | None = None
        self._live = not quiet and self._stream.isatty()
        self._drawn = -1.0
        self._path = Path(workdir) / "metrics.jsonl" if workdir else None
        self._board = _TensorBoard(Path(workdir) / "tensorboard") if workdir else None

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the bar and closes the files; `line` may be called again afterwards."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._board:
            self._board.close()

    def progress(self, step: int, metrics: Metrics, steps_per_second: float) -> None:
        """Redraws the bar with step, rate, time left and the metrics (mean and deviation)."""
        now = time.monotonic()
        if not self._live or now - self._drawn < 0.1:
            return
        self._drawn = now
        if self._bar is None:
            self._bar = tqdm(
                total=self._total,
                file=self._stream,
                dynamic_ncols=True,
                leave=False,
                bar_format="{percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt}{desc}",
            )
        left = "?"
        if steps_per_second > 0:
            left = tqdm.format_interval((self._total - step) / steps_per_second)
        self._bar.n = step
        text = self._shown(metrics, LINE - 60)
        self._bar.desc = f"  {steps_per_second:.3g} steps/s, {left} left  {text}"
        self._bar.refresh()

    def line(self, step: int, metrics: Metrics, seconds: float) -> None:
        """One report: a line of metrics.jsonl, TensorBoard scalars, a line for the reader.

        Names are 'part/metric' ('train/loss'); what is not one number a seed is left out.
        Raises OSError with the file's name where it cannot be written.
        """
        metrics = {name: np.asarray(value) for name, value in metrics.items()}
        metrics = {name: value for name, value in metrics.items() if value.ndim == 1}
        if self._path:
            described = {name: describe(value) for name, value in metrics.items()}
            record = {"step": int(step), "seconds": float(seconds)} | described
            append(self._path, json.dumps(jsonable(record), allow_nan=False) + "\n")
            self._board.write(step, metrics)
        begin = f"step {step}/{self._total}  {seconds:.1f} s  "
        self.say(begin + self._shown(metrics, LINE - len(begin)))

    def _shown(self, metrics: Metrics, width: int) -> str:
        """The headline metrics: 'train: loss 0.12 ± 0.01 | validation: loss 0.2 ± 0.03'.

        What is not finite is left out, and so are the last ones where the line would be too long.
        """
        parts: dict[str, list[str]] = {}
        for name in self._headline or dict.fromkeys(n.rpartition("/")[2] for n in metrics):
            for full, values in metrics.items():
                part, _, metric = full.rpartition("/")
                if metric == name and np.ndim(values) == 1 and np.isfinite(values).any():
                    described = describe(values)
                    spread = f" ± {described['std']:.2g}" if len(values) > 1 else ""
                    texts = parts.setdefault(part, [])
                    texts.append(f"{metric} {described['mean']:.4g}{spread}")
        if not self._headline:
            parts = {part: texts[:2] for part, texts in parts.items()}
        order = [part for part in dict.fromkeys(n.rpartition("/")[0] for n in metrics)]

        def line() -> str:
            return " | ".join(
                (f"{part}: " if part else "") + ", ".join(parts[part])
                for part in order
                if parts.get(part)
            )

        while len(line()) > width and max(map(len, parts.values()), default=0) > 1:
            max(parts.values(), key=len).pop()
        return line()

    def choose(self, step: int, members: Sequence[int], seconds: float) -> None:
        """Of a sweep's members, those that `read_metrics` returns from now on."""
        if self._path:
            line = {"step": int(step), "seconds": float(seconds), "members": list(members)}
            append(self._path, json.dumps(line) + "\n")

    def say(self, text: str) -> None:
        """Prints a line above the bar, unless quiet."""
        if not self._quiet:
            tqdm.write(text, file=self._stream)

    def warn(self, text: str) -> None:
        """Prints a warning above the bar, also when quiet."""
        tqdm.write(f"warning: {text}", file=self._stream)
        self._stream.flush()

    def rewind(self, step: int) -> None:
        """Forgets the reports after `step`, and a half-written one; call it before continuing.

        metrics.jsonl is replaced atomically. TensorBoard is made to hide what lies beyond.
        """
        if not self._path:
            return
        self._board.restart(step + 1)
        if self._path.exists():
            lines = (line for line in _read_lines(self._path) if "members" not in line)
            kept = [line for line in lines if line["step"] <= step]
            replace(self._path, "".join(json.dumps(line) + "\n" for line in kept))


def read_metrics(workdir: Path | str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """All of metrics.jsonl: name -> (steps [T] int, values [T, S] float, NaN where null).

    Of a sweep that has come to its end, the chosen members alone. A half-written last line is
    ignored. Raises FileNotFoundError where there is no such file.
    """
    path = Path(workdir) / "metrics.jsonl"
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: {workdir} holds no finished report")
    series: dict[str, tuple[list[int], list[list[float]]]] = {}
    chosen = slice(None)
    for line in _read_lines(path):
        chosen = line.get("members", chosen)
        for name, value in line.items():
            if isinstance(value, dict):
                steps, values = series.setdefault(name, ([], []))
                steps.append(line["step"])
                values.append([np.nan if x is None else x for x in value["per_seed"]])
    return {
        name: (np.array(steps), np.array(values, float)[:, chosen])
        for name, (steps, values) in series.items()
    }


def summary(
    workdir: Path | str | None,
    *,
    experiment: str,
    config: Any,
    dataset: str,
    steps: int,
    seconds: Mapping[str, float],
    steps_per_second: float,
    metrics: Metrics,
    baselines: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The result of a run as one dict, written to summary.json where a workdir is given.

    config: a dataclass or dict. seconds: {'compile', 'train', 'evaluate', ...}. metrics: [S] each;
    what is not one number a seed is left out. more: further entries ('dropped_seeds', 'notes').
    """
    result = {
        "experiment": experiment,
        "config": config,
        "dataset": dataset,
        "device": device_name(),
        "versions": versions(),
        "steps": steps,
        "seconds": seconds,
        "steps_per_second": steps_per_second,
        "metrics": {n: describe(x) for n, x in metrics.items() if np.ndim(x) == 1},
        "baselines": baselines or {},
        **more,
    }
    result = jsonable(result)
    if workdir:
        write_json(Path(workdir) / "summary.json", result)
    return result


def versions() -> dict[str, str]:
    """Versions of Python, dljax and the libraries that decide a run's numbers."""
    found = {"python": platform.python_version(), "dljax": dljax.__version__}
    return found | {name: importlib.metadata.version(name) for name in LIBRARIES}


def git_commit() -> str | None:
    """The commit of the checkout that dljax runs from, '+' where files differ; None without one."""
    root = Path(__file__).parent.parent.parent
    if not (root / ".git").exists():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        run = functools.partial(
            subprocess.run, cwd=root, capture_output=True, text=True, check=True, timeout=10
        )
        commit = run(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        changed = run(["git", "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
        return commit + ("+" if changed else "")
    return None


def device_name() -> str:
    """What the run computes on, for a reader: '2 x NVIDIA H100', 'AMD EPYC 7763, 2 cores'."""
    devices = jax.devices()
    count = len(devices)
    if devices[0].platform != "cpu":
        return f"{count} x {devices[0].device_kind}" if count > 1 else devices[0].device_kind
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count()
    name = f"{_cpu_model()}, {cores} cores"
    return f"{name} as {count} devices" if count > 1 else name


class _TensorBoard:
    """Scalars in event files: the mean, and with 2 to 8 seeds each of them as a run of its own.

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

    def restart(self, step: int) -> None:
        self.close()
        self._purge = step

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


def _read_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for line in path.read_bytes().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue  # half-written when the process was killed
    return lines


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
