"""Set before jax starts: the tests run on the CPU, which shows eight devices.

Computations stay on device 0 unless a test makes a mesh. A test that must not see eight devices
starts a process of its own.

Most of the tests' time goes into compiling, so all processes of one run of the tests share what
they compiled, down to the smallest program, and keep it no longer. They compile at LLVM's level 0
and without XLA's newer fusion emitters, which takes half of the time, and for AVX: without fused
multiply-adds, which level 0 places here and there, programs that are the same by design have the
same bits. `make test TEST_XLA_LEVEL=3` compiles as real runs do.

Tracing is most of the rest: operations don't keep the Python stack that made them, and the garbage
collector looks less often through the objects that jax and the modules keep.
"""

import gc
import os
import platform
import signal
import tempfile

import pytest

_level = os.environ.get("TEST_XLA_LEVEL", "0")
_flags = [
    "--xla_force_host_platform_device_count=8",
    f"--xla_backend_optimization_level={_level}",
]
if _level == "0":  # an extra option that a release of XLA doesn't know is ignored
    _flags.append("--xla_cpu_parallel_codegen_split_count=1")
    if platform.machine() in ("x86_64", "AMD64"):
        _flags.append("--xla_cpu_max_isa=AVX")
    _flags.append("--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters")

gc.set_threshold(50_000, 10, 10)

if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker inherits all this
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *_flags]).strip()
    os.environ["MPLBACKEND"] = "Agg"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _programs = tempfile.TemporaryDirectory(prefix="dljax-programs-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"


@pytest.fixture
def ctrl_c():
    """Ctrl-C acts: in the background of a shell, SIGINT is ignored from the start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
