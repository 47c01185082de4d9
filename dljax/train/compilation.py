"""How the programs of a run are compiled: the options, how long it took, kept for next time."""

from __future__ import annotations

import contextlib
import functools
import platform
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from dljax.train.parallel import Placement


class Program:
    """A function compiled at its first call; `seconds` is what that took."""

    def __init__(self, f: Callable, placement: Placement):
        self._f, self._placement, self._compiled, self.seconds = f, placement, None, 0.0

    def __call__(self, *args: Any) -> Any:
        if self._compiled is None:
            begin = time.perf_counter()
            options = compiler_options(self._placement.platform)
            self._compiled = self._f.lower(*args).compile(compiler_options=options)
            self.seconds = time.perf_counter() - begin
        return self._compiled(*args)


@functools.cache
def compiler_options(kind: str) -> dict[str, Any]:
    """Compiler options for a training program on that kind of device.

    On a CPU, jaxlib 0.10 sends convolutions to a YNNPACK fusion that made a weight gradient 13
    times slower (297 ms against 22 ms, 64x32x32, 32 channels): switched off, where the option
    exists.
    """
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    if kind != "cpu":
        return {}
    try:
        jax.jit(lambda x: x + 1).lower(0.0).compile(compiler_options=options)
    except Exception:  # another release of jaxlib that doesn't know the option
        return {}
    return options


def keep_programs(folder: Path) -> None:
    """Keeps compiled programs under `folder` from now on, so that the next process loads them.

    Those that took JAX a second or more (jax_persistent_cache_min_compile_time_secs).

    Does nothing where JAX has a folder already (JAX_COMPILATION_CACHE_DIR), or where none can be
    made; JAX_ENABLE_COMPILATION_CACHE=false switches it off. A program is found again by its code,
    options, devices and releases, so its bits are the same.
    """
    if jax.config.jax_compilation_cache_dir is None:
        folder = folder / _processor()
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(folder))


def _processor() -> str:
    """The processor's abilities in a word: machine code of one must not reach another."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    flags = next((x for x in lines if x.startswith(("flags", "Features"))), lines[0])
    return f"{platform.machine()}-{zlib.crc32(flags.encode()):08x}"
