"""Run an entry of the ledger again and say whether its number holds.

    python -m benchmarks.reproduce NAME

The number holds if the new mean is not worse than the old one by more than
max(2 spread sqrt(1/n_new + 1/n_old), |mean| / 1000): two standard errors of the difference of two
means over seeds, and never less than what rounding may do. Being better is holding. Exit code 0
if it holds, 1 if not or if the command fails.
"""

import math
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from benchmarks import ledger


def tolerance(result: ledger.Result, seeds: int) -> float:
    """How much worse the mean over `seeds` new seeds may be."""
    chance = 2 * result.spread * math.sqrt(1 / seeds + 1 / result.seeds)
    return max(chance, abs(result.mean) / 1000)


def holds(result: ledger.Result, mean: float, seeds: int) -> bool:
    """Whether a new mean over so many seeds agrees with the ledger, or is better."""
    worse = result.mean - mean if result.better == "higher" else mean - result.mean
    return worse <= tolerance(result, seeds)  # false for NaN


def rerun(result: ledger.Result, workdir: pathlib.Path) -> tuple[float, float, int]:
    """Run the command with this workdir; mean, spread, seeds. CalledProcessError if it fails."""
    words = shlex.split(result.command)
    subprocess.run(
        [sys.executable, *words[1:], f"--workdir={workdir}"], check=True, cwd=ledger.ROOT
    )
    return ledger.read_metric(ledger.read_summary(workdir), result.metric)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    try:
        results = {result.name: result for result in ledger.load()}
        if len(words) != 1 or words[0] not in results:
            known = ", ".join(results) or "none yet"
            print(f"usage: python -m benchmarks.reproduce NAME; names: {known}", file=sys.stderr)
            return 2
        result = results[words[0]]
        print(f"{result.name}: {result.command}", flush=True)
        workdir = pathlib.Path(tempfile.mkdtemp(prefix=f"{result.name}-"))
        mean, spread, seeds = rerun(result, workdir)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    good = holds(result, mean, seeds)
    print(f"{result.metric}: {mean:.6g} (spread {spread:.3g}, {seeds} seeds) now")
    print(
        f"{result.metric}: {result.mean:.6g} (spread {result.spread:.3g}, {result.seeds} seeds)"
        f" in the ledger, {result.date}, {result.machine}"
    )
    allowed = f"{result.better} is better, tolerance {tolerance(result, seeds):.3g}"
    print(f"{'holds' if good else 'DOES NOT HOLD'} ({allowed})")
    if good:
        shutil.rmtree(workdir)
    else:
        print(f"the run is left in {workdir}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
