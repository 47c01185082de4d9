"""Compares runs: a table, a page, a CSV."""

from __future__ import annotations

import sys
from pathlib import Path

from dljax.apps.comparison import runs as past
from dljax.apps.comparison import table
from dljax.apps.comparison.page import page
from dljax.apps.configs.compare import Config
from dljax.run.sweep import aligned
from dljax.train.files import replace, write_csv


def compare(config: Config) -> Path:
    """Writes the page and the CSV beside it, prints the table; returns the page's path.

    Raises FileNotFoundError or ValueError, in one line, for a path that holds no run, a run that
    can't be read, or a metric that no run has.
    """
    if not config.runs:
        raise ValueError("name workdirs of runs, or a folder of them: experiments.compare runs/")
    runs = past.read(config.runs, warn=lambda line: print(f"warning: {line}", file=sys.stderr))
    metrics = table.metrics(runs, config.metrics)
    text, left_out = page(runs, metrics, config.axis, config.max_megabytes * 1e6)
    path = Path(config.output)
    replace(path, text)
    write_csv(path.with_suffix(".csv"), table.rows(runs, metrics))
    header, cells = table.cells(runs, metrics)
    for line in aligned([header, *([cell.text for cell in row] for row in cells)]):
        print(line)
    if left_out:
        print(f"left out of the page, over --max_megabytes: {', '.join(left_out)}")
    print(f"{path} ({len(text) / 1e6:.2g} MB); the table is {path.with_suffix('.csv')}")
    return path


def run(config: Config) -> None:
    """What the command line does."""
    compare(config)
