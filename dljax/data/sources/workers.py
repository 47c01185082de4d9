"""Work for all cores, up to 16: a process for each, started as a command.

Workers are commands, not forks (JAX has threads) nor spawned copies of the caller (whose script may
have no main guard).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

import numpy as np

WORKERS = min(os.cpu_count() or 1, 16)  # each holds an interpreter, 40 MB and more


def bounds(count: int) -> list[tuple[int, int]]:
    """The part of `count` things that each worker does: from, to."""
    cuts = np.linspace(0, count, WORKERS + 1).astype(int).tolist()
    return list(pairwise(cuts))


def run(
    module: str,
    jobs: list[dict],
    read: Callable[[int, BinaryIO], Iterable[int]],
    advance: Callable[[int], object],
) -> str:
    """Runs `python -m MODULE JOB` for each job, in JSON, side by side.

    read: (number of the job, its standard output) -> how many more are done, again and again, in a
    thread for each. advance: takes these numbers, in the caller's thread, as a progress bar wants
    it. Returns "", or the last line of the standard error of the first job that failed. The first
    failure, what these functions raise, and Ctrl-C end all.
    """
    package_root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    failed: list[tuple[int, bytes]] = []
    news: SimpleQueue[int | Future] = SimpleQueue()

    def follow(number: int, output: BinaryIO) -> None:
        for more in read(number, output):
            news.put(more)

    def watch(process: subprocess.Popen) -> None:
        error = process.stderr.read()
        if code := process.wait():
            failed.append((code, error))
            end()

    def end() -> None:
        for process in processes:
            process.kill()

    with contextlib.ExitStack() as stack:  # closes the pipes after the threads have seen their end
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", module, json.dumps(job)],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": path},
                )
            )
            for job in jobs
        ]
        threads = stack.enter_context(ThreadPoolExecutor(2 * len(jobs)))
        stack.callback(end)
        working = [threads.submit(watch, process) for process in processes]
        working += [threads.submit(follow, i, x.stdout) for i, x in enumerate(processes)]
        for future in working:
            future.add_done_callback(news.put)
        while working:
            found = news.get()
            if isinstance(found, Future):
                working.remove(found)
                found.result()
            else:
                advance(found)
    if not failed:
        return ""
    code, error = failed[0]
    if code == -signal.SIGKILL:
        return "a process was killed, perhaps for want of memory"
    lines = error.decode(errors="replace").strip().splitlines()
    return (lines or [f"exit code {code}"])[-1]
