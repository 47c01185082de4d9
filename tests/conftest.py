"""What has to be said before jax starts: the tests run on the CPU, which shows eight devices.

Computations stay on device 0 unless a test makes a mesh. A test that must not see eight devices
starts a process of its own. Compiled programs are shared by the processes of one run of the tests,
and kept no longer; they are not optimised, since most of the time would go into that.
"""

import os
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        "--xla_backend_optimization_level=0",
    ]
).strip()
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
_programs = tempfile.TemporaryDirectory(prefix="dljax-programs-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs.name
