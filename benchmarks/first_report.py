"""How long a newcomer waits: from the command to the first line of results, nothing compiled yet.

    python -m benchmarks.first_report [--workdir=DIR] [--only=NAME,NAME] [--before=CHECKOUT]

Runs `python -m experiments.NAME --steps=20` of each default experiment with an empty folder for
compiled programs, until its metrics.jsonl has a line: 20 steps and the validation part. It is ended
there. What else is kept in the user's cache (a C++ library, a judge of generated images) is made by
the first of them that needs it. --only: those whose name holds one of these words. --before: the
same of another checkout of dljax, in turns with this one; the last lines are the geometric means of
the ratios. Prints a table; --workdir gets summary.json.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import contest
from benchmarks.compile import SHORT, compared, experiments, parsed
from dljax.train import report


class Wait(NamedTuple):
    """clock, processor: seconds until the first report. peak: of memory, MB, until then."""

    clock: float
    processor: float
    peak: float


def wait(root: Path, name: str, cache: str) -> Wait:
    """Until the first report of an experiment of that checkout; SystemExit where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", f"experiments.{name}", f"--workdir={folder}/run", *SHORT]
        settings = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/programs", "XDG_CACHE_HOME": cache}
        settings["PYTHONPATH"] = str(root)
        run, begin = Path(folder) / "run", time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *words], cwd=root, env=os.environ | settings, stdout=subprocess.DEVNULL
        )
        with contest.ended_with_this(process):
            while not _reported(run) and process.poll() is None:
                time.sleep(0.02)
        seconds = time.perf_counter() - begin
        if process.returncode is not None:
            raise SystemExit(f"{root}: python {' '.join(words)} ended without a report")
        process.kill()
        used = os.wait4(process.pid, 0)[2]
        process.returncode = 0  # it is waited for
        return Wait(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _reported(workdir: Path) -> bool:
    """Whether a run in the folder, or in one within, has written a line."""
    return any(path.stat().st_size for path in workdir.rglob("metrics.jsonl"))


def main() -> None:
    flags = parsed(__doc__.splitlines()[0])
    begin, rows, metrics, sides = time.perf_counter(), [], {}, []
    roots, caches = flags.roots, [tempfile.TemporaryDirectory() for _ in flags.roots]
    for name in experiments(flags.only):
        found = [wait(root, name, x.name) for root, x in zip(roots, caches, strict=True)]
        rows += [
            (name, side, f"{x.clock:.1f}", f"{x.processor:.1f}", f"{x.peak:.0f}")
            for side, x in zip(("before", "now")[-len(roots) :], found, strict=True)
        ]
        print(*rows[-len(roots) :], sep="\n", flush=True)
        metrics[f"{name}: seconds to the first report"] = np.array([found[-1].clock])
        if flags.before:
            sides.append(tuple(found))
    print(contest.table(("experiment", "", "clock, s", "processor, s", "peak, MB"), rows))
    metrics |= compared("first report", sides)
    contest.finish("first_report", flags.workdir, {"only": flags.only}, metrics, begin)
    print(report.device_name())


if __name__ == "__main__":
    main()
