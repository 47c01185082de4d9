"""Arrays kept on disk so that decoding is done once: written atomically, checked when read."""

import contextlib
import json
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

META = "meta.json"


def load(folder: Path, key: dict) -> dict[str, np.ndarray] | None:
    """The arrays that `save` left in the folder; None where there are none to be used.

    That is so where the folder is absent, was made under another key, or is damaged (a file is
    missing, cut short, or has another checksum).
    """
    try:
        meta = json.loads((folder / META).read_text())
        if meta["key"] != key:
            return None
        arrays = {}
        for name, checksum in meta["checksums"].items():
            arrays[name] = np.load(folder / f"{name}.npy", allow_pickle=False)
            if crc(arrays[name]) != checksum:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
    return arrays


def seal(folder: Path, key: dict, names: list[str]) -> None:
    """Writes the key and the checksums beside the arrays NAME.npy that lie in the folder."""
    checksums = {
        name: crc(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
        for name in names
    }
    (folder / META).write_text(json.dumps({"key": key, "checksums": checksums}, indent=1))


def crc(array: np.ndarray) -> int:
    """CRC-32 of an array's bytes."""
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A fresh folder to write into, which takes the place of `folder` when the block ends.

    Whoever reads `folder` meanwhile sees the old one or nothing, never a half-written one. When the
    block raises, or another process was quicker, the fresh folder is removed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        if folder.exists():
            os.rename(folder, temporary.with_suffix(".old"))
        with contextlib.suppress(OSError):  # another process has just put its own there
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(temporary.with_suffix(".old"), ignore_errors=True)


def can_write(folder: Path) -> bool:
    """Whether files may be made in the folder.

    The permission bits count for root too: a folder that its owner made read-only stays as it is.
    """
    try:
        if not folder.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            return False
        with tempfile.TemporaryFile(dir=folder):  # a file system may be mounted read-only
            return True
    except OSError:
        return False


def user_cache(name: str) -> Path:
    """The folder `name` of the user's own cache: under $XDG_CACHE_HOME/dljax or ~/.cache/dljax."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "dljax" / name
