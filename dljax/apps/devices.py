"""What each process sees of the machine it is on, and whether they fit together."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from dljax.apps.configs.devices import Config
from dljax.run import workdirs
from dljax.train.parallel import gathered, gathered_texts
from dljax.train.report import versions


def here() -> dict[str, Any]:
    """Of this process: host, pid, devices, memory [bytes], time [s] and versions."""
    devices = jax.local_devices()
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    gathered(0)  # all processes ask for the time together
    return {
        "time": time.time(),
        "host": platform.node(),
        "pid": os.getpid(),
        "devices": [device.device_kind for device in devices],
        "memory": limits[0] or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "versions": {"python": platform.python_version(), **versions()},
    }


def lines(processes: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each process, from what `here` returns in each."""
    found = []
    for index, one in enumerate(processes):
        kinds = one["devices"]
        found.append(
            f"process {index}  {one['host']} pid {one['pid']}  {len(kinds)} x {kinds[0]}  "
            f"{one['memory'] / 2**30:.1f} GiB  clock {one['time'] - processes[0]['time']:+.3f} s"
        )
    return found


def check_versions(processes: Sequence[dict[str, Any]]) -> None:
    """Raises ValueError where a process has another version of something than process 0."""
    first = processes[0]["versions"]
    for index, one in enumerate(processes):
        for name in first.keys() | one["versions"].keys():
            ours, theirs = first.get(name), one["versions"].get(name)
            if ours != theirs:
                raise ValueError(
                    f"process {index} has {name} {theirs}, process 0 has {ours}: "
                    "install the same versions for all"
                )


def run(config: Config) -> None:
    """What the command line does."""
    processes = [json.loads(text) for text in gathered_texts(json.dumps(here()))]
    said = print if jax.process_index() == 0 else lambda text: None
    count, devices = len(processes), len(jax.devices())
    several = f"{count} processes" if count > 1 else "1 process"
    said(f"{several}, devices: {devices}; a batch size is a multiple of {devices}")
    for line in lines(processes):
        said(line)
    check_versions(processes)
    said("versions: " + ", ".join(f"{n} {v}" for n, v in processes[0]["versions"].items()))
    workdirs.check_shared(Path(config.workdir))
    said(f"workdir: {Path(config.workdir).resolve()}" + (", seen by all" if count > 1 else ""))
