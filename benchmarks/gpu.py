"""Everything that only a GPU can show, in one run of less than eight minutes: docs/gpu.md.

    python -m benchmarks.gpu [--cifar=FILE] [--text=FILE] [--out=DIR] [--sections=bfloat16,text]
        [--only=ResNet-50] [--minutes=7] [--repeats=5]
    python -m benchmarks.gpu --tiny       # all of it on a CPU, in sizes that say nothing of speed

Sections, in their order: card (products of matrices), bfloat16 (training steps of ResNet-50 and
ResNet-18, a U-Net, a detector), cifar (seconds to 94 %), agents (PPO and PQN with 2,048
environments), recurrent (LSTM, GRU, a linear recurrence), text (seconds to 1.48 nats), driving (a
thousand cars), gan, float32 (the networks of bfloat16), compiled (both by PyTorch's compiler).
Where PyTorch is installed, it steps the same networks with the same weights on the same card.

A section has its share of the minutes, and what those before it left; what it had no time for is
said. A case that fails prints one line, the rest goes on, and the exit code is 1. summary.json in
--out (default $OUT, or runs/gpu) is written after every case. Utilisation is model FLOPs over the
card's peak in that dtype by its data sheet (PEAKS), float32 being TensorFloat-32 where the card has
it, in ours and in PyTorch.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import contest, gpu_sections
from benchmarks.gpu_cases import AGREE, Asked, Case, Found, LeftOut
from dljax.train import report
from dljax.train.loop import Interrupted

# 1e12 operations a second, dense, by the vendor's data sheets.
PEAKS = {
    "H200 NVL": {"bfloat16": 835.5, "float32": 417.5},
    "H200": {"bfloat16": 989.4, "float32": 494.7},
    "H100 NVL": {"bfloat16": 835.5, "float32": 417.5},
    "H100 PCIe": {"bfloat16": 756.0, "float32": 378.0},
    "H100": {"bfloat16": 989.4, "float32": 494.7},
    "A100": {"bfloat16": 312.0, "float32": 156.0},
    "L4": {"bfloat16": 121.0, "float32": 60.0},
    "T4": {"float32": 8.1},
    "V100": {"float32": 15.7},
}
# Shares of the minutes, by section.
SHARES = {
    "card": 1,
    "bfloat16": 45,
    "cifar": 20,
    "agents": 10,
    "recurrent": 14,
    "text": 15,
    "driving": 5,
    "gan": 10,
    "float32": 30,
    "compiled": 15,
}


def peaks(kind: str) -> Mapping[str, float]:
    """The peaks of a card by the name that it gives itself; empty for an unknown one."""
    return next((x for name, x in PEAKS.items() if re.search(rf"\b{name}\b", kind)), {})


class Results:
    """What was found so far, kept in out/summary.json."""

    def __init__(self, out: Path, config: Mapping[str, Any], peak: Mapping[str, float]):
        self._out, self._config, self._peak = out, dict(config), peak
        self._begin = time.perf_counter()
        self.rows: list[tuple[str, Case, Found]] = []
        self.failures: list[dict[str, str]] = []
        self.left_out: list[str] = []
        self.no_time: list[str] = []
        self.seconds: dict[str, float] = {}

    def failed(self, what: str, error: BaseException | str) -> None:
        """Prints one line; the whole traceback is in the summary."""
        lines = str(error).splitlines() or [""]
        kind = "" if isinstance(error, str) else f"{type(error).__name__}: "
        trace = [] if isinstance(error, str) else traceback.format_exception(error)
        print(f"{what}: failed: {kind}{lines[0][:300]}", flush=True)
        self.failures.append({"what": what, "error": f"{kind}{error}", "traceback": "".join(trace)})

    def found(self, section: str, case: Case, found: Found) -> None:
        """Prints the line of a case."""
        self.rows.append((section, case, found))
        used = self.utilisation(found)
        share = "" if used is None else f", {np.median(used):.1%} of the peak"
        note = f" ({found.note})" if found.note else ""
        value = f"{figures(np.median(found.values))} {found.unit}{share}{note}"
        print(f"{section}: {case.name}, {case.who}: {value}", flush=True)
        if found.problem:
            self.failed(f"{section}: {case.name}, {case.who}", found.problem)

    def utilisation(self, found: Found) -> np.ndarray | None:
        """Shares [repeats] of the card's peak; None where it, or the work, is not known."""
        if found.gigaflops is None or found.dtype not in self._peak:
            return None
        return found.gigaflops / (1e3 * self._peak[found.dtype])

    def ratio(self, case: Case, found: Found) -> np.ndarray | None:
        """How many times as fast as PyTorch's eager steps [repeats]; None where there is none."""
        for _, other, peer in self.rows:
            if other.name == case.name and other.who == "torch" and case.who != "torch":
                return found.values / np.median(peer.values)
        return None

    def metrics(self) -> dict[str, np.ndarray]:
        """What the ledger may take up, by name, [repeats]."""
        metrics = {}
        for _, case, found in self.rows:
            who = f"{case.name}: {case.who}"
            if np.isfinite(found.values).all():  # else a goal that was not reached
                metrics[f"{who}, {found.unit}"] = found.values
            more = {"utilisation": self.utilisation(found), "times torch": self.ratio(case, found)}
            metrics |= {f"{who}, {name}": x for name, x in more.items() if x is not None}
            if found.first is not None:
                metrics[f"{who}, s to the first step"] = np.array([found.first])
        return metrics

    def save(self) -> None:
        contest.finish(
            "gpu",
            self._out,
            self._config,
            self.metrics(),
            self._begin,
            peak=self._peak,
            notes={f"{case.name}: {case.who}": x.note for _, case, x in self.rows if x.note},
            seconds_of_sections=self.seconds,
            failures=self.failures,
            left_out=self.left_out,
            no_time=self.no_time,
        )

    def table(self) -> str:
        """All rows, what is compared side by side."""
        order = {case.name: i for i, (_, case, _) in reversed(list(enumerate(self.rows)))}
        lines = []
        for _, case, found in sorted(self.rows, key=lambda row: order[row[1].name]):
            low, middle, high = (figures(x) for x in np.quantile(found.values, (0, 0.5, 1)))
            used, ratio = self.utilisation(found), self.ratio(case, found)
            lines.append(
                (
                    case.name,
                    case.who,
                    f"{middle} {found.unit}",
                    f"{low} to {high}" if len(found.values) > 1 else "",
                    "" if ratio is None else f"{np.median(ratio):.2f}",
                    "" if used is None else f"{np.median(used):.1%}",
                    "" if found.first is None else f"{found.first:.1f}",
                    found.note,
                )
            )
        head = ("what", "by", "median", "min to max", "times torch", "utilisation",
                "first step, s", "note")  # fmt: skip
        return contest.table(head, lines)


def figures(value: float) -> str:
    """A number of about three figures: 1,234, 56.7, 0.0123."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def measure(name: str, cases: Callable[[], Iterator[Case]], deadline: float, results: Results):
    """The cases of a section, each for itself, as long as there is time."""
    begin, late = time.perf_counter(), []
    try:
        for case in cases():
            if time.perf_counter() > deadline:
                late.append(f"{case.name}, {case.who}")
                continue
            try:
                results.found(name, case, case.measure(deadline))
            except Interrupted as error:  # of a training, by a signal
                raise KeyboardInterrupt from error
            except LeftOut as error:
                print(f"{name}: {case.name}: left out: {error}", flush=True)
                results.left_out.append(f"{name}: {case.name}: {error}")
            except Exception as error:
                results.failed(f"{name}: {case.name}, {case.who}", error)
            results.save()
            gc.collect()
            if "torch" in sys.modules and jax.default_backend() != "cpu":
                sys.modules["torch"].cuda.empty_cache()
    except Exception as error:
        results.failed(name, error)
    if late:
        print(f"{name}: no time for {'; '.join(late)}", flush=True)
        results.no_time += [f"{name}: {what}" for what in late]
    results.seconds[name] = time.perf_counter() - begin
    results.save()


def named(cases: Callable[[], Iterator[Case]], text: str) -> Iterator[Case]:
    """The cases whose name holds a text."""
    return (case for case in cases() if text in case.name)


def find_torch() -> Any:
    """The module torch, set as it is fastest; None, and a line that says why, without."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: of a library that it needs
        print(f"PyTorch is left out: {error}")
        return None
    if jax.default_backend() != "cpu":
        if not torch.cuda.is_available():
            print("PyTorch is left out: it finds no GPU")
            return None
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")  # TensorFloat-32, as in JAX
    return torch


def flag_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out = Path(os.environ.get("OUT") or "runs/gpu")
    parser.add_argument("--out", type=Path, default=out, help=f"where summary.json goes; now {out}")
    parser.add_argument("--sections", default="", help="those to measure, commas between; all")
    parser.add_argument("--only", default="", help="the cases whose name holds this")
    parser.add_argument("--minutes", type=float, help="no case starts later; 7, with --tiny 60")
    parser.add_argument("--repeats", type=int, default=5, help="timed stretches of each")
    parser.add_argument("--cifar", default="", help="CIFAR-10, as image_classification's --dataset")
    parser.add_argument("--text", default="", help="the file tinyshakespeare.txt")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, on a CPU too")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = flag_parser()
    flags = parser.parse_args(argv)
    chosen = flags.sections.split(",") if flags.sections else list(SHARES)
    for name in chosen:
        if name not in SHARES:
            parser.error(f"there is no section {name!r}: there are {', '.join(SHARES)}")
    for name in ("cifar", "text"):
        given = getattr(flags, name)
        if given and not os.path.exists(given):
            parser.error(f"--{name}: there is no {given}")
    flags.minutes = (60.0 if flags.tiny else 7.0) if flags.minutes is None else flags.minutes
    if flags.minutes <= 0 or flags.repeats < 1:
        parser.error("--minutes must be more than 0, and --repeats at least 1")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory too
    device = jax.devices()[0]
    if device.platform == "cpu" and not flags.tiny:
        parser.error("jax finds no GPU here: --tiny runs all of it on a CPU, in tiny sizes")
    begin, peak = time.perf_counter(), peaks(device.device_kind)
    versions = {**report.versions(), "torch": None}
    torch = find_torch()
    if torch:
        versions["torch"] = torch.__version__
    print(f"{report.device_name()}; {versions}", flush=True)
    for dtype in AGREE:
        if dtype not in peak:
            print(f"{device.device_kind} has no peak in {dtype} in PEAKS: no utilisation is said")
    memory = 0 if device.platform == "cpu" else (device.memory_stats() or {}).get("bytes_limit", 0)
    asked = Asked(flags.tiny, flags.repeats, flags.cifar, flags.text, torch, memory)
    config = {**vars(flags), "out": str(flags.out), "torch": versions["torch"]}
    results, made = Results(flags.out, config, peak), gpu_sections.sections(asked)
    try:
        results.save()
    except OSError as error:
        parser.error(f"--out: {error}")
    each, code = 60 * flags.minutes / sum(SHARES[name] for name in chosen), 0
    deadline = begin
    try:
        for name in (name for name in SHARES if name in chosen):
            deadline += each * SHARES[name]
            measure(name, partial(named, made[name], flags.only), deadline, results)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        code = 130
    print(f"\n{results.table()}")
    spent = ", ".join(f"{name} {seconds:.0f}" for name, seconds in results.seconds.items())
    print(f"{report.device_name()}; {time.perf_counter() - begin:.0f} s: {spent}")
    print(f"{len(results.failures)} failed, {len(results.left_out)} left out, "
          f"no time for {len(results.no_time)}; {flags.out / 'summary.json'}")  # fmt: skip
    return code or (1 if results.failures else 0)


if __name__ == "__main__":
    sys.exit(main())
