"""Compiled programs are kept between processes, and are the same programs."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from dljax.train import compilation
from tests.helpers import devices

ROOT = Path(__file__).parents[2]
TRAIN = """
from dljax.train import compilation, loop
from pathlib import Path
from tests.helpers import devices, run_steps, toy
from dljax.data import feed
import jax, sys
import numpy as np
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


def test_a_program_compiles_while_the_caller_goes_on():
    program = compilation.Program(jax.jit(lambda x: {"y": 2 * x}), devices(1))
    assert program.shapes(jnp.ones(3)) == {"y": jax.ShapeDtypeStruct((3,), jnp.float32)}
    program.begin(jax.ShapeDtypeStruct((3,), jnp.float32))
    begun = program.seconds
    assert program(jnp.arange(3.0))["y"].tolist() == [0, 2, 4]
    waited = program.seconds
    assert 0 < begun < waited
    assert program(jnp.ones(3))["y"].tolist() == [2, 2, 2] and program.seconds == waited
    with pytest.raises(TypeError, match="types"):  # it is for those shapes alone
        program(jnp.ones(4))


def test_what_fails_behind_the_caller_is_raised_to_it(monkeypatch):
    program = compilation.Program(jax.jit(lambda x: x), devices(1))
    monkeypatch.setattr(program, "_options", lambda: {"no_such_option": True})
    program.begin(jnp.ones(3))
    with pytest.raises(RuntimeError, match="no_such_option"):
        program(jnp.ones(3))


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


def test_the_oldest_programs_make_room(tmp_path):
    folder = tmp_path / compilation.processor()
    folder.mkdir()
    for age, name in enumerate("abcd"):
        (folder / name).write_bytes(bytes(10))
        os.utime(folder / name, (1000 - age, 1000 - age))
    words = "import sys, pathlib; from dljax.train import compilation; "
    words += "compilation.enable_compilation_cache(pathlib.Path(sys.argv[1]), 25)"
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    subprocess.run([sys.executable, "-c", words, tmp_path], cwd=ROOT, env=environment, check=True)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
