"""Real processes on this machine: the numbers of one, one set of files, and an end when one dies.

They share their starts, which take most of the time: each start trains several things, and the last
of them is stopped by a signal to one of the processes.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from dljax.run import workdirs
from dljax.train import checkpoint
from tests.helpers import assert_close, assert_same, devices
from tests.run import process_tasks

ROOT = Path(__file__).parents[2]
LONG = 300  # seconds after which something hangs
TASKS = ("classification", "recurrent", "ppo")


class Group:
    """Processes of one run of process_tasks, those of `indices`."""

    def __init__(self, count, folder, *flags, module="tests.run.process_tasks", indices=None):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        device = "--xla_force_host_platform_device_count=1"
        environment = {
            **os.environ,
            "XLA_FLAGS": re.sub(r"--xla_force_host\S+", device, os.environ["XLA_FLAGS"]),
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{self.port}",
            "JAX_NUM_PROCESSES": str(count),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.processes = {
            index: subprocess.Popen(
                [sys.executable, "-m", module, *flags],
                cwd=ROOT,
                env={**environment, "JAX_PROCESS_ID": str(index)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in indices or range(count)
        }

    def ends(self):
        """Exit code and standard error of each."""
        try:
            found = {i: (p.communicate(timeout=LONG)[1], p) for i, p in self.processes.items()}
        finally:
            for process in self.processes.values():
                process.kill()
        return {i: (process.returncode, text) for i, (text, process) in found.items()}


def stop(group, folder, index, signum, kept=None):
    """Sends the signal to one, while process 0 waits and the others wait for process 0."""
    wait_for(group, lambda: (folder / "waiting").exists())
    if kept:
        wait_for(group, lambda: (folder / "checkpoints" / str(kept)).exists())
    group.processes[index].send_signal(signum)
    (folder / "waiting").unlink()
    if signum == signal.SIGTERM:
        (folder / "go").touch()
    ends = group.ends()
    (folder / "go").unlink(missing_ok=True)
    return ends


def wait_for(group, happened):
    end = time.monotonic() + LONG
    while not happened():
        if time.monotonic() > end or any(p.poll() for p in group.processes.values()):
            pytest.fail(f"the processes ended early: {group.ends()}")
        time.sleep(0.05)


def arrays(folder):
    return checkpoint.arrays(folder)
