"""The memory that a run takes: streamed images, images in memory, and seeds.

    python -m benchmarks.memory [--workdir=DIR] [--images=50000]

Each row is a process of its own and its largest resident size: what
experiments.image_classification imports, and that script on a folder of random PNGs, of 1,000
images and of --images, streamed and held in memory. What the number of images adds to a streamed
run is what streaming takes. Then the default data, with one seed and with eight. All programs are
compiled anew.

Prints a table; --workdir gets summary.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import contest
from benchmarks.data import SIDE, make_folder
from dljax.train import report

FEW = 1000
EXPERIMENT = "experiments.image_classification"
IMPORTS = "import dljax.apps.image_classification, jax; jax.devices()"


def peak(words: list[str]) -> float:
    """MB that a Python process with these arguments holds at most, all programs compiled anew."""
    return contest.used(words, JAX_ENABLE_COMPILATION_CACHE="false").ru_maxrss / 1024


def trained(*flags: str) -> float:
    """The same of a short training."""
    with tempfile.TemporaryDirectory() as folder:
        common = ("--steps=200", "--noplots", "--quiet", f"--workdir={folder}/run")
        return peak(["-m", EXPERIMENT, *common, *flags])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--images", type=int, default=50_000, help="images to train on")
    flags = parser.parse_args()
    begin = time.perf_counter()
    imports = peak(["-c", IMPORTS])  # not below what this process holds, which imports less
    found = {"imports": imports}
    network = ("--num_seeds=1", "--model=lenet", "--nobaselines", f"--image_size={SIDE}")
    for count in (FEW, flags.images):
        with tempfile.TemporaryDirectory() as folder:
            make_folder(Path(folder), count)
            data = (*network, f"--dataset={folder}")
            found[f"{count} images, streamed"] = trained(*data, "--streaming")
            found[f"{count} images, in memory"] = trained(*data)
    for seeds in (1, 8):
        found[f"the default data, seeds: {seeds}"] = trained(f"--num_seeds={seeds}")
    rows = [(name, f"{mb:.0f}", f"{mb - imports:.0f}") for name, mb in found.items()]
    print(contest.table(("process", "MB at most", "over imports"), rows))
    metrics = {name: np.array([mb]) for name, mb in found.items()}
    contest.finish("memory", flags.workdir, {"images": flags.images}, metrics, begin)
    print(report.device_name())


if __name__ == "__main__":
    main()
