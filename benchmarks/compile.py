"""What the first start of each default experiment costs, and the second: time and memory.

    python -m benchmarks.compile [--workdir=DIR] [--only=NAME,NAME] [--before=CHECKOUT]

Runs `python -m experiments.NAME --steps=20` twice, with an empty folder for compiled programs that
the second run finds filled; its own summary.json says how long it compiled. The processor's seconds
of the whole process depend less on what else runs than the clock's. --only: the experiments whose
name holds one of these words. --before: the same of another checkout of dljax, in turns with this
one; the last lines are the geometric means of the ratios. Prints a table; --workdir gets
summary.json.
"""

from __future__ import annotations

import argparse
import importlib
import json
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import contest
from dljax.run.config import served
from dljax.train import report

ROOT = Path(__file__).parents[1]
SHORT = ("--steps=20", "--eval_every=20", "--noplots", "--quiet")  # of a run that trains little


def parser(description: str) -> argparse.ArgumentParser:
    """Of the flags workdir and only."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--workdir", type=Path, help="where summary.json goes")
    found.add_argument("--only", default="", help="words, of which a name must hold one")
    return found


def parsed(description: str) -> argparse.Namespace:
    """The flags: workdir, only, before, and `roots`, the checkouts that are measured."""
    both = parser(description)
    both.add_argument("--before", type=checkout, help="another checkout to compare with")
    flags = both.parse_args()
    flags.roots = [flags.before.resolve(), ROOT] if flags.before else [ROOT]
    return flags


def checkout(text: str) -> Path:
    """The folder that --before names; ArgumentTypeError for one without dljax."""
    if not text or not Path(text, "dljax", "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is no checkout of dljax")
    return Path(text)


def experiments(only: str = "") -> list[str]:
    """The scripts that train one run by the shared command line.

    only: words with commas between them, of which a name must hold one. SystemExit if none does.
    """
    scripts = {path.stem for path in (ROOT / "experiments").glob("[!_]*.py")}
    configs = sorted((ROOT / "dljax" / "apps" / "configs").glob("[!_]*.py"))
    names = [path.stem for path in configs if path.stem in scripts]
    configs = {name: importlib.import_module(f"dljax.apps.configs.{name}") for name in names}
    configs = {name: module.Config for name, module in configs.items() if hasattr(module, "Config")}
    flags = {name: {x.name for x in served(config)} for name, config in configs.items()}
    whole = [name for name in names if {"steps", "eval_every"} <= flags.get(name, set())]
    chosen = [name for name in whole if any(word in name for word in only.split(","))]
    if not chosen:
        raise SystemExit(f"--only={only}: no name holds it; there are {', '.join(whole)}")
    return chosen


def compared(what: str, sides: list[tuple[NamedTuple, NamedTuple]]) -> dict[str, np.ndarray]:
    """Prints and returns geometric means of now over before; sides: (before, now) of each."""
    if not sides:
        return {}
    means, metrics = np.exp(np.mean([np.log(now) - np.log(then) for then, now in sides], 0)), {}
    for name, mean in zip(sides[0][0]._fields, means, strict=True):
        print(f"{what}, now / before, geometric mean: {name} {mean:.3f}")
        metrics[f"{what}, now / before: {name}"] = np.array([mean])
    return metrics


class Start(NamedTuple):
    """compile, processor: seconds. peak: of memory, MB, of the process alone."""

    compile: float
    processor: float
    peak: float


def start(root: Path, name: str, folder: Path) -> Start:
    """One start of an experiment of the checkout `root`; its programs are kept in `folder`."""
    words = ["-m", f"experiments.{name}", f"--workdir={folder / 'run'}", "--overwrite", *SHORT]
    programs = str(folder / "programs")
    used = contest.used(words, root, JAX_COMPILATION_CACHE_DIR=programs, PYTHONPATH=str(root))
    seconds = json.loads((folder / "run" / "summary.json").read_text())["seconds"]
    return Start(seconds["compile"], used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def main() -> None:
    flags = parsed(__doc__.splitlines()[0])
    begin, rows, metrics, sides = time.perf_counter(), [], {}, []
    for name in experiments(flags.only):
        firsts = []
        for root in flags.roots:
            with tempfile.TemporaryDirectory() as folder:
                first, second = (start(root, name, Path(folder)) for _ in range(2))
            firsts.append(first)
            side = "before" if len(flags.roots) > len(firsts) else "now"
            times = (first.compile, second.compile, first.processor, second.processor)
            rows.append((name, side, *(f"{s:.1f}" for s in times), f"{first.peak:.0f}"))
        metrics[f"{name}: compiling on the second start / on the first"] = np.array(
            [second.compile / first.compile]
        )
        if flags.before:
            sides.append(tuple(firsts))
    head = ("experiment", "", "compiles, s", "second start", "processor, s", "second start", "MB")
    print(contest.table(head, rows))
    metrics |= compared("first start", sides)
    contest.finish("compile", flags.workdir, {"only": flags.only}, metrics, begin)
    print(report.device_name())


if __name__ == "__main__":
    main()
