"""What has to be said before jax starts: the tests run on the CPU, which shows eight devices.

Computations stay on device 0 unless a test makes a mesh. A test that must not see eight devices
starts a process of its own. Compiled programs are shared by the processes of one run of the tests,
and kept no longer. They are compiled at LLVM's first level, which takes a third off: most of the
tests' time goes into compiling. `make test TEST_XLA_LEVEL=3` takes the level of real runs.
"""

import os
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8"
    + f" --xla_backend_optimization_level={os.environ.get('TEST_XLA_LEVEL', 1)}"
).strip()
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
_programs = tempfile.TemporaryDirectory(prefix="dljax-programs-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs.name
