"""Checksums of files: by name, size and time, which is quick, and by content."""

from __future__ import annotations

import functools
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dljax.data.sources.cache import crc


def stamp(files: Sequence[str]) -> str:
    """A checksum of the names (within their common folder), order, sizes and times of files."""
    root, total = os.path.commonpath(files) if files else "", 0
    for file in files:
        about = os.stat(file)
        entry = f"{file[len(root) :]} {about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}\n"
        total = zlib.crc32(entry.encode(errors="surrogateescape"), total)
    return f"{len(files)} files {total:08x}"


@functools.lru_cache
def content(files: tuple[str, ...], stamp: str) -> str:
    """A checksum of the content of files in their order. stamp: of the files, for the cache."""
    del stamp
    with ThreadPoolExecutor() as pool:
        sums = np.fromiter(pool.map(_file_crc, files), np.uint32, len(files))
    return f"{len(files)} files {crc(sums):08x}"


def same_files(files: Sequence[str], others: Sequence[str]) -> int:
    """How many of the files are byte for byte among the others; those of other sizes aren't read.

    Of equal sizes the beginning is read first, and the rest where that is equal too.
    """
    mine, theirs = ({file: os.path.getsize(file) for file in x} for x in (files, others))
    with ThreadPoolExecutor() as pool:
        for most in (4096, None):
            common = set(mine.values()) & set(theirs.values())
            mine, theirs = (
                {file: about for file, about in x.items() if about in common}
                for x in (mine, theirs)
            )
            read = functools.partial(_file_crc, most=most)
            mine, theirs = (
                {
                    f: (about, crc)
                    for (f, about), crc in zip(x.items(), pool.map(read, x), strict=True)
                }
                for x in (mine, theirs)
            )
    known = set(theirs.values())
    return sum(about in known for about in mine.values())


def _file_crc(file: str, most: int | None = None) -> int:
    """CRC-32 of a file's content, or of its first bytes."""
    total = 0
    with open(file, "rb") as opened:
        while block := opened.read(most or 1 << 20):
            total = zlib.crc32(block, total)
            if most:
                break
    return total
