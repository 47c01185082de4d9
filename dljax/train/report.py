"""What a run prints and logs: progress bar, lines, metrics.jsonl, metrics.csv, summary.json.

Everything here runs on the host, between dispatches. Metrics arrive as one number a seed, [S].
"""

import contextlib
import csv
import functools
import importlib.metadata
import io
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
from dljax.train.files import append, jsonable, replace, write_csv, write_json
from dljax.train.metrics import describe
from dljax.train.trackers import TensorBoard

Metrics = Mapping[str, np.ndarray]

LINE = 100  # columns of a line, at most
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class Report:
    """Progress and logs of one run; a context manager.

    workdir: where metrics.jsonl, metrics.csv and tensorboard/ go; None writes no file.
    members: what each of the S seeds is, for metrics.csv ({"seed": 3}); none: their number.
    trackers: further ones beside TensorBoard, see trackers.py.
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
        members: Sequence[Mapping[str, Any]] = (),
        trackers: Sequence[Any] = (),
        stream: TextIO | None = None,
    ):
        self._stream = stream or sys.stderr
        self._quiet, self._headline = quiet, tuple(headline)
        self._total = total_steps
        self._bar: tqdm | None = None
        self._live = not quiet and self._stream.isatty()
        self._drawn = -1.0
        self._path = Path(workdir) / "metrics.jsonl" if workdir else None
        self._table = MetricsTable(Path(workdir) / "metrics.csv", members) if workdir else None
        self._trackers = list(trackers)
        if workdir:
            self._trackers.insert(0, TensorBoard(Path(workdir) / "tensorboard"))

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the bar and closes the files; `line` may be called again afterwards."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        for tracker in self._trackers:
            tracker.close()

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
        """One report: metrics.jsonl, metrics.csv, TensorBoard, a line for the reader.

        Names are 'part/metric' ('train/loss'); what is not one number a seed is left out.
        Raises OSError with the file's name where it cannot be written.
        """
        metrics = {name: np.asarray(value) for name, value in metrics.items()}
        metrics = {name: value for name, value in metrics.items() if value.ndim == 1}
        if self._path:
            described = {name: describe(value) for name, value in metrics.items()}
            record = {"step": int(step), "seconds": float(seconds)} | described
            append(self._path, json.dumps(jsonable(record), allow_nan=False) + "\n")
            if not self._table.append(record):
                self._table.write(_read_lines(self._path))
        for tracker in self._trackers:
            tracker.write(step, metrics)
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

    def pictures(self, step: int, folder: Path) -> None:
        """Shows the trackers the pictures in `folder`."""
        paths = [x for x in sorted(folder.glob("*")) if x.suffix in (".png", ".gif")]
        for tracker in self._trackers if paths else ():
            tracker.pictures(step, paths)

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

        The files are replaced atomically. The trackers begin from there.
        """
        for tracker in self._trackers:
            tracker.begin(step)
        if self._path and self._path.exists():
            lines = (line for line in _read_lines(self._path) if "members" not in line)
            kept = [line for line in lines if line["step"] <= step]
            replace(self._path, "".join(json.dumps(line) + "\n" for line in kept))
            self._table.write(kept)


class MetricsTable:
    """metrics.csv: what metrics.jsonl holds as a table, a row for each report and each seed.

    Columns: step, seconds, those of `members` (seed, and of a sweep the values), then the metrics;
    a cell is empty where a value is not finite.
    """

    def __init__(self, path: Path, members: Sequence[Mapping[str, Any]] = ()):
        self._path, self._members = path, members
        self._columns: list[str] = []

    def write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """All of it anew, from the lines of metrics.jsonl."""
        rows = [row for line in lines for row in self._rows(line)]
        self._columns = list(dict.fromkeys(name for row in rows for name in row))
        write_csv(self._path, [dict.fromkeys(self._columns, "") | row for row in rows])

    def append(self, line: Mapping[str, Any]) -> bool:
        """Adds the rows of one line; False, and nothing done, where it has other columns."""
        rows = self._rows(line)
        if any(set(row) - set(self._columns) for row in rows):
            return False
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, restval="").writerows(rows)
        append(self._path, text.getvalue())
        return True

    def _rows(self, line: Mapping[str, Any]) -> list[dict[str, Any]]:
        metrics = {name: x["per_seed"] for name, x in line.items() if isinstance(x, Mapping)}
        rows = []
        for i in range(max(map(len, metrics.values()), default=0)):
            member = self._members[i] if self._members else {"seed": i}
            values = {n: "" if jsonable(x[i]) is None else x[i] for n, x in metrics.items()}
            rows.append({"step": line["step"], "seconds": line["seconds"], **member, **values})
        return rows


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


def read_seconds(workdir: Path | str) -> dict[int, float]:
    """Seconds of training until each step that metrics.jsonl reports."""
    lines = _read_lines(Path(workdir) / "metrics.jsonl")
    return {line["step"]: line["seconds"] for line in lines}


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
