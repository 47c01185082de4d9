"""One experiment for each value of a flag, and the mean over them: speakers, folds, splits.

    python -m benchmarks.across speech_recognition test_speakers=george,jackson,lucas \
        --dataset=FSDD --steps=2500 --workdir=runs/speakers

Trains in WORKDIR/VALUE, one after the other; what is finished there is not trained again.
WORKDIR/summary.json has of each metric the mean and the deviation over the values (of each value
the mean over its seeds), and of the baselines their means.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dljax.run import command_line
from dljax.run.process import prepare
from dljax.train.files import write_json
from dljax.train.metrics import describe


def main(argv: Sequence[str]) -> None:
    if len(argv) < 3 or "=" not in argv[1] or argv[1].startswith("-"):
        raise SystemExit(__doc__)
    name, (flag, _, values) = argv[0], argv[1].partition("=")
    app = importlib.import_module(f"dljax.apps.{name}")
    given = [x for x in argv[2:] if not x.startswith("--workdir=")]
    workdir = Path(next(x for x in argv if x.startswith("--workdir=")).partition("=")[2])
    prepare()
    summaries = []
    for value in values.split(","):
        print(f"{flag}={value}", flush=True)
        flags = [name, *given, f"--{flag}={value}", f"--workdir={workdir / value}"]
        summaries.append(app.train(command_line.parse(app.Config, flags)).summary)
    joined = joined_summary(summaries)
    write_json(workdir / "summary.json", {"experiment": name, "over": argv[1], **joined})
    for metric, found in joined["metrics"].items():
        print(f"{metric}: {found['mean']:.4f} ± {found['std']:.4f} over {flag}")
    for method, scores in joined["baselines"].items():
        print(f"{method}: {', '.join(f'{k} {v:.4f}' for k, v in scores.items())}")


def joined_summary(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of summaries of runs: metrics over the runs, mean baselines, all seconds together."""
    metrics = {
        name: describe(np.array([x["metrics"][name]["mean"] for x in summaries], float))
        for name in summaries[0]["metrics"]
        if all(x["metrics"][name]["mean"] is not None for x in summaries)
    }
    baselines = {
        method: {
            name: float(np.mean([x["baselines"][method][name] for x in summaries]))
            for name, value in scores.items()
            if isinstance(value, (int, float))
        }
        for method, scores in summaries[0]["baselines"].items()
    }
    return {
        "metrics": metrics,
        "baselines": baselines,
        "seconds": sum(sum(x["seconds"].values()) for x in summaries),
        "device": summaries[0]["device"],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
