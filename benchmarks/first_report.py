"""How long a newcomer waits: from the command to the first line of results, nothing compiled yet.

    python -m benchmarks.first_report [--workdir=DIR] [--only=NAME] [--before=CHECKOUT]

Runs `python -m experiments.NAME --steps=20` of each default experiment with an empty folder for
compiled programs, until its metrics.jsonl has a line: 20 steps and the validation part. It is ended
there. What is installed or cached besides (a C++ library, features of a network) is made by an
earlier start, which is not timed. --before: the same of another checkout of dljax, in turns with
this one; the last lines are the geometric means of the ratios. Prints a table; --workdir gets
summary.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import contest
from benchmarks.compile import ROOT, experiments
from dljax.train import report


class Wait(NamedTuple):
    """clock, processor: seconds until the first report. peak: of memory, MB, until then."""

    clock: float
    processor: float
    peak: float


def wait(root: Path, name: str) -> Wait:
    """Until the first report of an experiment of that checkout; SystemExit where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", f"experiments.{name}", f"--workdir={folder}/run", "--steps=20"]
        words += ["--eval_every=20", "--noplots", "--quiet"]
        settings = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/programs", "PYTHONPATH": str(root)}
        lines, begin = Path(folder) / "run" / "metrics.jsonl", time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *words], cwd=root, env=os.environ | settings, stdout=subprocess.DEVNULL
        )
        while not (lines.exists() and lines.stat().st_size) and process.poll() is None:
            time.sleep(0.02)
        seconds = time.perf_counter() - begin
        if process.returncode is not None:
            raise SystemExit(f"{root}: python {' '.join(words)} ended without a report")
        process.kill()
        used = os.wait4(process.pid, 0)[2]
        process.returncode = 0  # it is waited for
        return Wait(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--only", default="", help="the experiments whose name holds this")
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    flags = parser.parse_args()
    begin, rows, metrics, ratios = time.perf_counter(), [], {}, []
    roots = [flags.before.resolve(), ROOT] if flags.before else [ROOT]
    for name in experiments():
        if flags.only not in name:
            continue
        found = [wait(root, name) for root in roots]
        rows += [
            (name, side, f"{x.clock:.1f}", f"{x.processor:.1f}", f"{x.peak:.0f}")
            for side, x in zip(("before", "now")[-len(roots) :], found, strict=True)
        ]
        print(*rows[-len(roots) :], sep="\n", flush=True)
        metrics[f"{name}: seconds to the first report"] = np.array([found[-1].clock])
        if flags.before:
            ratios.append(np.divide(found[1], found[0]))
    print(contest.table(("experiment", "", "clock, s", "processor, s", "peak, MB"), rows))
    if ratios:
        for what, mean in Wait(*np.exp(np.log(ratios).mean(0)))._asdict().items():
            print(f"first report, now / before, geometric mean: {what} {mean:.3f}")
            metrics[f"first report, now / before: {what}"] = np.array([mean])
    contest.finish("first_report", flags.workdir, {"only": flags.only}, metrics, begin)
    print(report.device_name())


if __name__ == "__main__":
    main()
