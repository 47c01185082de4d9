"""How long each default experiment compiles, on its first start and on its second.

    python -m benchmarks.compile [--workdir=DIR] [--only=NAME]

Runs `python -m experiments.NAME --steps=20` twice, with an empty folder for compiled programs that
the second run finds filled; its own summary.json says what it compiled. Prints a table; --workdir
gets summary.json.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import contest
from dljax.run.config import served
from dljax.train import report

ROOT = Path(__file__).parents[1]


def experiments() -> list[str]:
    """The scripts that train one run by the shared command line."""
    names = [path.stem for path in sorted((ROOT / "dljax" / "apps" / "configs").glob("[!_]*.py"))]
    configs = {name: importlib.import_module(f"dljax.apps.configs.{name}") for name in names}
    configs = {name: module.Config for name, module in configs.items() if hasattr(module, "Config")}
    flags = {name: {x.name for x in served(config)} for name, config in configs.items()}
    return [name for name in names if {"steps", "eval_every"} <= flags.get(name, set())]


def start(name: str, folder: Path) -> tuple[float, float]:
    """Seconds of compiling and of the whole process."""
    words = [sys.executable, "-m", f"experiments.{name}", f"--workdir={folder / 'run'}"]
    words += ["--steps=20", "--eval_every=20", "--overwrite", "--noplots", "--quiet"]
    programs = {"JAX_COMPILATION_CACHE_DIR": str(folder / "programs")}
    begin = time.perf_counter()
    subprocess.run(words, cwd=ROOT, env=os.environ | programs, check=True, capture_output=True)
    whole = time.perf_counter() - begin
    summary = json.loads((folder / "run" / "summary.json").read_text())
    return summary["seconds"]["compile"], whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--only", default="", help="the experiments whose name holds this")
    flags = parser.parse_args()
    begin, rows, metrics = time.perf_counter(), [], {}
    for name in experiments():
        if flags.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            first, second = (start(name, Path(folder)) for _ in range(2))
        rows.append((name, *(f"{s:.1f}" for s in (first[0], second[0], first[1], second[1]))))
        metrics[f"{name}: compiling on the second start / on the first"] = np.array(
            [second[0] / first[0]]
        )
    head = ("experiment", "compiles, s", "second start", "whole process, s", "second start")
    print(contest.table(head, rows))
    contest.finish("compile", flags.workdir, {"only": flags.only}, metrics, begin)
    print(report.device_name())


if __name__ == "__main__":
    main()
