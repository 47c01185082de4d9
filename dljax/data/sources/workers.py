"""Work for all cores, up to 16: a process for each, started as a command.

Workers are commands, not forks (JAX has threads) nor spawned copies of the caller (whose script may
have no main guard).
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

WORKERS = min(os.cpu_count() or 1, 16)  # each holds an interpreter, 40 MB and more


def bounds(count: int) -> list[tuple[int, int]]:
    """The part of `count` things that each worker does: from, to."""
    cuts = np.linspace(0, count, WORKERS + 1).astype(int).tolist()
    return list(pairwise(cuts))


def run(module: str, jobs: list[dict], read: Callable[[int, BinaryIO], None]) -> str:
    """Runs `python -m MODULE JOB` for each job, in JSON, side by side.

    read: (number of the job, its standard output) -> None, in a thread for each.
    Returns "", or the last line of the standard error of the first one that failed, which ends all.
    """
    package_root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(job)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        for job in jobs
    ]
    failed: list[tuple[int, bytes]] = []

    def watch(process: subprocess.Popen) -> None:
        error = process.stderr.read()
        if code := process.wait():
            failed.append((code, error))
            for other in processes:
                other.kill()

    threads = [
        threading.Thread(target=read, args=(number, process.stdout))
        for number, process in enumerate(processes)
    ]
    threads += [threading.Thread(target=watch, args=(process,)) for process in processes]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for process in processes:
            process.kill()
        for thread in threads:  # which see the end of the pipes before these are closed
            if thread.is_alive():
                thread.join()
        for process in processes:
            with process:  # waits, and closes the pipes
                pass
    if not failed:
        return ""
    code, error = failed[0]
    if code == -signal.SIGKILL:
        return "a process was killed, perhaps for want of memory"
    lines = error.decode(errors="replace").strip().splitlines()
    return (lines or [f"exit code {code}"])[-1]
