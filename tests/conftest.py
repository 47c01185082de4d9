"""What has to be said before jax starts: the tests run on the CPU, which shows eight devices.

Computations stay on device 0 unless a test makes a mesh. A test that must not see eight devices
starts a process of its own. Compiled programs are shared by the processes of one run of the tests,
and kept no longer.
"""

import os
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
).strip()
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
_programs = tempfile.TemporaryDirectory(prefix="dljax-programs-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs.name
