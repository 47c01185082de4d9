"""Builds the C++ convolutions of dljax.nn.native, once for a user's cache, and registers them."""

from __future__ import annotations

import ctypes
import fcntl
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import jax
import jaxlib

from dljax.nn import native
from dljax.train.compilation import processor

SOURCE = Path(native.__file__).with_name("convolution.cc")
COMPILERS = ("c++", "g++", "clang++")


class BuildError(OSError):
    """There is no C++ compiler, or it did not compile; the message is one line."""


@functools.cache
def library(folder: Path) -> str:
    """The name under which the convolutions are registered from now on, for `native.library`.

    They are compiled once in `folder`, for this source, compiler, processor and release of jaxlib,
    by CXX or the first of COMPILERS; several processes may do so at once. What is no longer as it
    was made (a full disk, say) is made again. Raises BuildError.
    """
    compiler = _compiler()
    tune = "-march=native" if platform.machine() in ("x86_64", "AMD64") else "-mcpu=native"
    words = [*compiler, "-O2", tune, "-std=c++17", "-fPIC", "-shared"]
    text = SOURCE.read_bytes()
    version = _run([*compiler, "--version"])
    key = (*words, version, processor(), jaxlib.__version__, str(folder))  # a name has one file
    digest = hashlib.sha256(text + repr(key).encode()).hexdigest()[:16]
    path = folder / f"convolution-{digest}.so"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a second process waits for what the first one makes
            if not _whole(path):
                _build(words, path)
        found = ctypes.CDLL(str(path))
    except OSError as error:
        if isinstance(error, BuildError):
            raise
        raise BuildError(f"{path} cannot be made or loaded ({error.strerror or error})") from error
    name = f"dljax_{digest}"  # a program that is kept compiled calls what it was compiled for
    for function in native.FUNCTIONS.values():
        call = jax.ffi.pycapsule(getattr(found, f"Convolution{function.capitalize()}"))
        jax.ffi.register_ffi_target(f"{name}_{function}", call, platform="cpu")
    return name


def _build(words: list[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as own:
        made = Path(own, path.name)
        _run([*words, "-isystem", jax.ffi.include_dir(), str(SOURCE), "-o", str(made)])
        _checksum(path).unlink(missing_ok=True)
        os.replace(made, path)
        _checksum(path).write_bytes(hashlib.sha256(path.read_bytes()).digest())


def _checksum(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _whole(path: Path) -> bool:
    """Whether the library is there, as it was made: loading half of one ends the process."""
    try:
        return hashlib.sha256(path.read_bytes()).digest() == _checksum(path).read_bytes()
    except FileNotFoundError:
        return False


def _compiler() -> list[str]:
    try:
        own = shlex.split(os.environ.get("CXX", ""))
    except ValueError as error:
        raise BuildError(f"CXX is no command ({error})") from None
    found = next((x for x in (own[:1] or COMPILERS) if shutil.which(x)), None)
    if found is None:
        raise BuildError(f"there is no C++ compiler ({', '.join(own[:1] or COMPILERS)})")
    return own or [found]


def _run(words: list[str]) -> str:
    """What a command prints; BuildError, with its first line of errors, where it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise BuildError(f"{words[0]} cannot be run ({error.strerror or error})") from None
    if done.returncode:
        said = [x for x in done.stderr.splitlines() if "error" in x] or done.stderr.splitlines()
        raise BuildError(f"{words[0]} failed: {said[0][:200] if said else done.returncode}")
    return done.stdout
