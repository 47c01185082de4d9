"""How the programs of a run are compiled: the options, how long it took, kept for next time."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax

from dljax.train.parallel import Placement, gathered

LEVEL = "xla_backend_optimization_level"
KEPT = 2**30  # bytes of compiled programs that are kept: some thousand runs' worth


class Program:
    """A function compiled at its first call, or from `begin` on.

    seconds: what the caller waited for that, in the slowest process.
    once: it will be called once, so it is compiled quickly rather than well (unless XLA_FLAGS name
    a level).
    """

    def __init__(self, f: Callable, placement: Placement, once: bool = False):
        self._f, self._placement, self._once = f, placement, once
        self._behind: Future | None = None
        self._compiled, self.seconds = None, 0.0

    def shapes(self, *args: Any) -> Any:
        """Shapes and dtypes of what it returns for such arguments, arrays or their shapes."""
        return self._f.trace(*args).out_info

    def begin(self, *args: Any) -> None:
        """Compiles for such arguments, arrays or their shapes, while the caller goes on.

        Where there are several processes, it does nothing: they compile in one order.
        """
        if jax.process_count() == 1:
            begin = time.perf_counter()
            lowered, thread = self._f.lower(*args), ThreadPoolExecutor(1)
            self._behind = thread.submit(lowered.compile, self._options())
            thread.shutdown(wait=False)
            self.seconds += time.perf_counter() - begin

    def __call__(self, *args: Any) -> Any:
        if self._compiled is None:
            begin = time.perf_counter()
            if self._behind:
                self._compiled, self._behind = self._behind.result(), None
            else:
                self._compiled = self._f.lower(*args).compile(self._options())
            gathered(0)  # all wait for the last one
            self.seconds += time.perf_counter() - begin
        return self._compiled(*args)

    def _options(self) -> dict[str, Any]:
        options = compiler_options(self._placement.platform)
        if self._once and options and LEVEL not in os.environ.get("XLA_FLAGS", ""):
            options = options | {LEVEL: 1}  # LLVM's first level: two thirds of the time
        return options

    def text(self) -> str:
        """What XLA made of the function, after its first call."""
        return self._compiled.as_text()

    def megabytes(self) -> float:
        """Memory that the compiled function takes: its arguments and temporary arrays."""
        took = self._compiled.memory_analysis()
        return (took.argument_size_in_bytes + took.temp_size_in_bytes) / 1e6


@functools.cache
def compiler_options(kind: str) -> dict[str, Any]:
    """Compiler options for a training program on that kind of device.

    On a CPU, jaxlib 0.10 sends convolutions to a YNNPACK fusion that made a weight gradient 13
    times slower (297 ms against 22 ms, 64x32x32, 32 channels): switched off, where the option
    exists, but for single products of matrices, which it makes faster (a step of PPO by 12 %).
    """
    options = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
    if kind != "cpu":
        return {}
    try:
        jax.jit(lambda x: x + 1).lower(0.0).compile(compiler_options=options)
    except Exception:  # another release of jaxlib that doesn't know the option
        return {}
    return options


def enable_compilation_cache(folder: Path, limit: int = KEPT) -> None:
    """Keeps compiled programs under `folder` from now on, so that the next process loads them.

    All of them, for a start has dozens that compile in less than the second below which JAX keeps
    none; of those that are there already, the newest that fit into `limit` bytes. (JAX's own limit
    stops writing where a program was kept without it: findings/jax_cache_limit.sh.)

    Does nothing where JAX has a folder already (JAX_COMPILATION_CACHE_DIR), or where none can be
    made; JAX_ENABLE_COMPILATION_CACHE=false switches it off. A program is found again by its code,
    options, devices and releases, so its bits are the same.
    """
    if jax.config.jax_compilation_cache_dir is None:
        folder = folder / processor()
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(folder))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
            _keep_newest(folder, limit)


def _keep_newest(folder: Path, limit: int) -> None:
    """Deletes the oldest files where all together are larger.

    OSError where another process does so too, or the folder may only be read.
    """
    kept = 0
    found = [(path.stat(), path) for path in folder.iterdir()]
    for stat, path in sorted(found, key=lambda x: x[0].st_mtime, reverse=True):
        kept += stat.st_size
        if kept > limit:
            path.unlink(missing_ok=True)


def processor() -> str:
    """The processor's abilities in a word: machine code of one must not reach another."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    flags = next((x for x in lines if x.startswith(("flags", "Features"))), lines[0])
    return f"{platform.machine()}-{zlib.crc32(flags.encode()):08x}"
