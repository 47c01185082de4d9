"""The convolutions in C++: compiled once, always the same bits, one line where they cannot be."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from dljax.data import feed
from dljax.nn import native as calls
from dljax.train import loop, native
from tests import helpers
from tests.helpers import assert_close, assert_same, devices, native_library, run_steps

ROOT = Path(__file__).parents[2]
SEEDS = (0, 1)


def trained(library, placement, chunks):
    """A run of three steps with a convolution in it, and its evaluation."""
    task, data = helpers.small_classifier(), feed.in_memory(helpers.stripes(64), 16)
    examples = feed.examples(helpers.stripes(40), 16, placement.batch_multiple)
    with calls.library(library):
        run, _ = run_steps(task, data, placement, SEEDS, chunks, length=3)
        return run, loop.evaluate(task, run, examples, placement)


@pytest.fixture(scope="module")
def whole():
    return trained(native_library(), devices(1), [3])


def test_a_run_has_the_same_bits_in_chunks(whole):
    assert_same(trained(native_library(), devices(1), [1, 2]), whole)


def test_several_devices_and_xla_agree_up_to_rounding(whole):
    """The batch is not divided then, but the numbers are right."""
    for other in (trained(native_library(), devices(2), [3]), trained(None, devices(1), [3])):
        assert_close(other[0].states, whole[0].states, 1e-4)
    with pytest.raises(AssertionError, match="differs by"):  # so native ones were used
        assert_same(other[0].states, whole[0].states)


BITS = """
import jax, numpy as np
from dljax.nn import native as calls
from dljax.nn.convolution import conv
from dljax.train import native
from pathlib import Path
shapes = [(33, 9, 9, 5), (3, 3, 5, 7)]
x, w = (np.random.default_rng(0).normal(size=s).astype("float32") for s in shapes)
with calls.library(native.library(Path(folder))):
    out = jax.jit(jax.value_and_grad(lambda x, w: (conv(x, w) ** 2).sum(), (0, 1)))(x, w)
bits = b"".join(np.asarray(a).tobytes() for a in out[1]).hex()
"""


def folder() -> Path:
    native_library()
    return Path(os.environ["JAX_COMPILATION_CACHE_DIR"], "native")


def test_bits_do_not_depend_on_the_number_of_threads():
    """Nor does a process compile what another one has, nor load a program that it cannot run."""
    kept = {path: path.stat().st_mtime_ns for path in folder().glob("*.so")}
    here = {"folder": folder()}
    exec(BITS, here)
    one = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    text = f"{one}folder = {str(folder())!r}{BITS}print(bits)"
    words = [sys.executable, "-c", text]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert found.strip() == here["bits"]
    assert kept == {path: path.stat().st_mtime_ns for path in folder().glob("*.so")}


def test_two_folders_in_one_process(tmp_path):
    """As where the user's cache moves."""
    assert native.library(tmp_path) != native_library()


@pytest.mark.parametrize(
    ("compiler", "text"),
    [
        ("no-such-compiler -m64", "there is no C++ compiler (no-such-compiler)"),
        ("false", "false failed"),
        ("c++ -std=nonsense", "nonsense"),
        ("c++ '", "CXX is no command (No closing quotation)"),
        ("{folder}/empty", "empty cannot be run (Exec format error)"),
        ("{folder}/latin", "latin failed: kein Pl\ufffdtz"),
    ],
)
def test_what_cannot_be_compiled_is_one_line(compiler, text, tmp_path, monkeypatch):
    native_library()  # skips where there is no compiler
    for name, script in (
        ("empty", b""),
        ("latin", b"#!/bin/sh\nprintf 'kein Pl\\344tz' >&2; exit 1"),
    ):
        (tmp_path / name).write_bytes(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("CXX", compiler.format(folder=tmp_path))
    with pytest.raises(native.BuildError) as raised:
        native.library(tmp_path / "new")
    assert text in str(raised.value) and "\n" not in str(raised.value)
    assert not list(tmp_path.rglob("*.so"))


def test_half_a_library_is_made_again(tmp_path, monkeypatch):
    """Such as a full disk leaves: to load it would end the process."""
    made = []

    def run(words):
        if "-o" in words:
            made.append(words[-1])
            Path(words[-1]).write_bytes(b"a whole library")
        return ""

    def refuse(path):
        raise OSError("not loaded in a test")

    def load():
        with pytest.raises(native.BuildError, match="not loaded in a test"):
            native.library.__wrapped__(tmp_path)
        return len(made)

    monkeypatch.setattr(native, "_run", run)
    monkeypatch.setattr(native.ctypes, "CDLL", refuse)
    assert [load(), load()] == [1, 1]
    (path,) = tmp_path.glob("*.so")
    path.write_bytes(b"a whole")
    assert [load(), load()] == [2, 2] and path.read_bytes() == b"a whole library"
    path.with_suffix(".sha256").unlink()
    assert load() == 3


def test_a_library_of_other_bits_is_another_file(tmp_path, monkeypatch):
    """Another processor, compiler, source or jaxlib: none of them loads what was made for one."""
    made = []
    monkeypatch.setattr(native, "_build", lambda words, path: made.append(path.name))
    for name in ("processor", "_run"):
        with pytest.raises(native.BuildError, match="cannot be made or loaded"):
            native.library.__wrapped__(tmp_path)
        monkeypatch.setattr(native, name, lambda *words: "another")
    with pytest.raises(native.BuildError):
        native.library.__wrapped__(tmp_path)
    assert len(set(made)) == 3


def test_a_name_that_is_not_registered_is_an_error_and_no_crash():
    with calls.library("dljax_unknown"), pytest.raises(Exception, match="dljax_unknown"):
        from dljax.nn.convolution import conv

        jax.jit(conv)(jax.numpy.ones((1, 4, 4, 1)), jax.numpy.ones((3, 3, 1, 1)))
