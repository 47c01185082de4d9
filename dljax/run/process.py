"""What the process of a command sets up: the only place that changes global settings."""

import os
import sys
import time
from pathlib import Path

from absl import logging

from dljax.data.sources.cache import user_cache
from dljax.run import processes
from dljax.train.compilation import enable_compilation_cache


def prepare() -> None:
    """Quiets absl, keeps compiled programs in the user's cache, joins the processes of a cluster.

    Modules in the working folder can be imported, as python -m and a notebook let them.

    For the `main` of a script, or the first cell of a notebook; importing dljax changes nothing.
    """
    logging.set_verbosity(logging.ERROR)  # orbax warns of what is meant to be
    if not {"", os.getcwd()} & set(sys.path):  # python experiments/NAME.py
        sys.path.append(os.getcwd())
    enable_compilation_cache(user_cache("programs"))  # a second start compiles little
    processes.initialize()


def age() -> float | None:
    """Seconds since this process began, where the system says so (Linux: proc(5))."""
    try:
        began = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(began) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return None
