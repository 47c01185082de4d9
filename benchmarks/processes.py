"""Two processes on this machine: the time of a step beside one process; kills at random moments.

    python -m benchmarks.processes [--workdir=runs/benchmark_processes] [--repeats=3] [--kills=50]

The step: two processes of one core each against one process with two virtual devices on both, in
turns; the second half of a run, the median of the repetitions, and the processor time of the whole
run. The kills: runs of two processes, of which a random one gets SIGKILL or SIGTERM at a random
moment of each start (--seed draws them), from the first to the last; each run is started again
until it ends. All must end with the bits of a run that was never killed.
--repeats=0 or --kills=0 leaves one of the two out; --flags are given to the experiment,
image_classification.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from dljax.train import checkpoint

EXPERIMENT = (
    "experiments.image_classification", "--parallel=data", "--num_seeds=1", "--noplots", "--quiet",
    "--steps_per_call=10",
)  # fmt: skip
PATIENCE = 600  # seconds until what should end is said to hang


class Ended(NamedTuple):
    """How a process ended: exit code, what it said."""

    code: int
    said: str


class Process:
    """One process of `count`, on one core where one is given."""

    def __init__(self, words: list[str], index: int, count: int, port: int, core: int | None):
        own = {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3", "DLJAX_START_TIMEOUT": "60"}
        if count > 1:
            own |= {
                "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
                "JAX_NUM_PROCESSES": str(count),
                "JAX_PROCESS_ID": str(index),
            }
        devices = 1 if count > 1 else 2
        own["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
        pinned = (
            ["taskset", "-c", str(core)] if core is not None and shutil.which("taskset") else []
        )
        self.process = subprocess.Popen(
            [*pinned, sys.executable, "-m", *words],
            env=os.environ | own,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> Ended:
        """Waits for it."""
        _, said = self.process.communicate(timeout=PATIENCE)
        return Ended(self.process.returncode, said)


def start(workdir: Path, count: int, flags: list[str]) -> list[Process]:
    """The processes of a run, each with a core of its own where there are several."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [*EXPERIMENT, f"--workdir={workdir}", *flags]
    cores = sorted(os.sched_getaffinity(0))
    pins = [cores[i % len(cores)] if count > 1 else None for i in range(count)]
    return [Process(words, i, count, port, pins[i]) for i in range(count)]


def trained(workdir: Path, count: int, flags: list[str]) -> float:
    """Processor seconds of all processes of a run from its beginning."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ends = [process.end() for process in start(workdir, count, [*flags, "--overwrite"])]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if any(end.code for end in ends):
        raise SystemExit(f"error: a process has failed: {ends}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(workdir: Path, repeats: int, steps: int, flags: list[str]) -> None:
    """Prints the time of a step of two processes beside that of one."""
    flags = [*flags, f"--eval_every={steps // 2}", f"--checkpoint_every={steps}"]
    found = {1: [], 2: []}
    for _ in range(repeats):
        for count in found:
            folder = workdir / f"{count}"
            processor = trained(folder, count, flags)
            lines = (folder / "metrics.jsonl").read_text().splitlines()
            half, whole = (json.loads(line)["seconds"] for line in lines[:2])
            found[count].append(((whole - half) / (steps // 2), processor))
    medians = {count: np.median(np.array(pairs), axis=0) for count, pairs in found.items()}
    for count, (step, processor) in medians.items():
        name = "one process, two virtual devices" if count == 1 else "two processes of a core each"
        every = ", ".join(f"{1e3 * pair[0]:.1f}" for pair in found[count])
        print(
            f"{name}: {1e3 * step:.2f} ms a step ({every}), "
            f"{processor:.1f} s of processor time in all"
        )
    print(f"two processes take {medians[2][0] / medians[1][0]:.2f} times as long for a step")


def newest(workdir: Path) -> list[bytes]:
    """The bits of the newest checkpoint."""
    step = max(
        int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit()
    )
    leaves = jax.tree.leaves(checkpoint.arrays(workdir / "checkpoints" / str(step) / "run"))
    is_key = [jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) for x in leaves]
    pairs = zip(leaves, is_key, strict=True)
    return [np.asarray(jax.random.key_data(x) if key else x).tobytes() for x, key in pairs]


def kill(workdir: Path, kills: int, seed: int, flags: list[str]) -> None:
    """Prints how many killed runs ended with the bits of one that was not."""
    rng = np.random.default_rng(seed)
    flags, begin = [*flags, "--eval_every=20"], time.monotonic()
    trained(workdir / "whole", 2, flags)
    length, whole = time.monotonic() - begin, newest(workdir / "whole")
    done = runs = same = 0
    longest, codes = 0.0, {}
    while done < kills:
        folder = workdir / f"killed-{runs}"
        shutil.rmtree(folder, ignore_errors=True)
        while True:
            processes = start(folder, 2, flags)
            wait = rng.uniform(0, length)
            victim, signum = rng.integers(2), rng.choice([signal.SIGKILL, signal.SIGTERM])
            end = time.monotonic() + wait
            while time.monotonic() < end and any(p.process.poll() is None for p in processes):
                time.sleep(0.05)
            killed = done < kills and all(p.process.poll() is None for p in processes)
            if killed:
                processes[victim].process.send_signal(signum)
                done, begin = done + 1, time.monotonic()
            ends = [process.end() for process in processes]
            if killed:
                longest = max(longest, time.monotonic() - begin)
                codes[ends[1 - victim].code] = codes.get(ends[1 - victim].code, 0) + 1
            if all(end.code == 0 for end in ends):
                break
            if not killed or any(end.code not in (0, 75, 143, -9, -15) for end in ends):
                raise SystemExit(f"error: a process has failed: {ends}")
        runs, same = runs + 1, same + (newest(folder) == whole)
        print(f"{done} kills in {runs} runs, {same} of them with the same bits", flush=True)
    print(
        f"{done} kills in {runs} runs: {same} runs ended with the bits of one that was not killed; "
        f"exit codes of the other process {codes}; the last one ended {longest:.1f} s after a kill"
    )
    if same < runs:
        raise SystemExit("error: not all runs ended with the same bits")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", type=Path, default=Path("runs/benchmark_processes"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--flags", type=shlex.split, default=[])
    options = parser.parse_args(argv)
    flags = [f"--steps={options.steps}", *options.flags]
    if options.repeats:
        compare(options.workdir, options.repeats, options.steps, flags)
    if options.kills:
        kill(options.workdir, options.kills, options.seed, flags)


if __name__ == "__main__":
    main()
