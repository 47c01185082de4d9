"""Compiled programs are kept between processes, and are the same programs."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAIN = """
from dljax.train import compilation, loop
from pathlib import Path
from tests.helpers import devices, run_steps, toy
from dljax.data import feed
import jax, sys
import numpy as np
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
compilation.enable_compilation_cache(Path(sys.argv[1]))
run, _ = run_steps(toy(), feed.empty(), devices(1), (0,), [5])
print(np.asarray(run.states["weights"]).tobytes().hex())
"""


def train(folder: Path, **settings: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    words = [sys.executable, "-W", "error", "-c", TRAIN, str(folder)]
    result = subprocess.run(
        words, cwd=ROOT, env=environment | settings, capture_output=True, text=True, check=True
    )
    return result.stdout


def test_the_second_process_loads_the_programs_of_the_first(tmp_path):
    first = train(tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-cache")}
    assert any("many" in path.name for path in kept), "the loop's own program is kept"
    assert train(tmp_path) == first
    again = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-cache")}
    assert again == kept, "nothing was compiled anew"


def test_the_users_own_folder_is_respected(tmp_path):
    own = tmp_path / "own"
    train(tmp_path / "ours", JAX_COMPILATION_CACHE_DIR=str(own))
    assert any(own.iterdir()) and not (tmp_path / "ours").exists()
