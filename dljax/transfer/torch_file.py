"""PyTorch's .pth, .pt and .bin files without PyTorch: the zip format and the legacy one.

Both hold a pickle whose tensors are (storage, offset, size, stride), and the storages' bytes apart
from it: in a zip archive one file each (since 2020, torch 1.6), or one after another behind the
pickle. The pickle is read by `safe_unpickle.load`, which runs nothing.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from dljax.transfer import safe_unpickle

LEGACY = 0x1950A86A20F9469CFC6C  # the number that a legacy file's first pickle is
LEGACY_PROTOCOL = 1001
LARGEST_EXPANDED = 1 << 24  # elements of a tensor that repeats those of its storage

DTYPES = {
    "float16": np.float16, "float32": np.float32, "float64": np.float64,
    "bfloat16": ml_dtypes.bfloat16, "bool": np.bool_, "uint8": np.uint8,
    "int8": np.int8, "int16": np.int16, "int32": np.int32, "int64": np.int64,
    "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
}  # fmt: skip
STORAGES = {
    "HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64",
    "BFloat16Storage": "bfloat16", "BoolStorage": "bool", "ByteStorage": "uint8",
    "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32", "LongStorage": "int64",
}  # fmt: skip
UNTYPED = "torch.storage.UntypedStorage"
NAMES = frozenset(
    {UNTYPED, *(f"torch.{name}" for name in STORAGES), *(f"torch.{name}" for name in DTYPES)}
)


class Storage(NamedTuple):
    """Numbers in a row, not read yet: so many of a dtype (None: bytes), from `offset` on."""

    key: str
    dtype: np.dtype | None
    count: int
    offset: int = 0


class Tensor(NamedTuple):
    """A view of a storage, all in elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a file by their names, nested dictionaries joined by dots.

    Arrays are read-only views with the file's dtypes. Numbers, strings and None beside tensors are
    left out. Raises ValueError, in one line, for whatever is no dictionary of tensors or holds
    something else, by its name.
    """
    content = Path(path).read_bytes()
    try:
        if content[:4] == b"PK\x03\x04":
            tree, storage = _zip(content)
        elif content[:1] == b"\x80":
            tree, storage = _legacy(content)
        elif not content:
            raise ValueError("it is empty")
        else:
            raise ValueError("it is neither a zip archive nor a pickle")
        arrays = {name: _array(tensor, storage) for name, tensor in _tensors(tree)}
    except ValueError as error:
        raise ValueError(
            f"{path} can't be read as a PyTorch file: {safe_unpickle.line(error)}"
        ) from error
    if not arrays:
        raise ValueError(f"{path} can't be read as a PyTorch file: it holds no tensor")
    return arrays


# The pickle


def _tensor(storage, offset, size, stride, *rest) -> Tensor:
    """`_rebuild_tensor` and `_rebuild_tensor_v2`: gradients and hooks do not matter here."""
    del rest
    if not isinstance(storage, Storage) or storage.dtype is None:
        raise ValueError("a tensor without a storage")
    return _checked(Tensor(storage, offset, size, stride))


def _typed_tensor(storage, offset, size, stride, requires_grad, hooks, dtype, *rest) -> Tensor:
    """`_rebuild_tensor_v3`: the storage is bytes, the dtype stands apart."""
    del requires_grad, hooks, rest
    name = dtype.path.removeprefix("torch.") if isinstance(dtype, safe_unpickle.Name) else ""
    if not isinstance(storage, Storage) or storage.dtype is not None or name not in DTYPES:
        raise ValueError("a tensor without a storage")
    kind = np.dtype(DTYPES[name])
    storage = storage._replace(dtype=kind, count=storage.count // kind.itemsize)
    return _checked(Tensor(storage, offset, size, stride))


def _checked(tensor: Tensor) -> Tensor:
    """The tensor, if it lies in its storage; ValueError otherwise."""
    storage, offset, size, stride = tensor
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > 32 or not all(_natural(n) for n in numbers):
        raise ValueError(f"a tensor of size {str(size)[:100]} and stride {str(stride)[:100]}")
    elements = math.prod(size)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if elements else 0
    if elements and last >= storage.count:
        raise ValueError(f"a tensor of size {size} does not fit into its {storage.count} numbers")
    if elements > max(storage.count, LARGEST_EXPANDED):
        raise ValueError(f"a tensor of size {size} repeats {storage.count} numbers")
    return tensor


def _natural(n: Any) -> bool:
    return type(n) is int and 0 <= n < 2**62


CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": safe_unpickle.ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *rest: tensor,
    "torch.Size": lambda size: size,
}


def _storage(identifier: Any) -> Storage:
    """("storage", its class, key, device, how many numbers), and in old files a view of another."""
    if not isinstance(identifier, tuple) or not identifier or identifier[0] != "storage":
        kind = str(identifier[0]) if isinstance(identifier, tuple) and identifier else ""
        raise safe_unpickle.Refused(f"it refers to a {kind[:50] or 'thing'!r} outside the pickle")
    _, kind, key, _, count, *view = identifier
    if not isinstance(kind, safe_unpickle.Name) or not isinstance(key, str) or not _natural(count):
        raise ValueError("a storage is not as it should be")
    offset = 0
    if view and view[0] is not None:
        _, offset, count = view[0]
        if not (_natural(offset) and _natural(count)):
            raise ValueError("a view of a storage is not as it should be")
    if kind.path == UNTYPED:
        return Storage(key, None, count, offset)
    name = STORAGES.get(kind.path.removeprefix("torch."))
    if name is None:
        raise ValueError(f"{kind.path} is no storage")
    return Storage(key, np.dtype(DTYPES[name]), count, offset)


def _tensors(tree: Any) -> list[tuple[str, Tensor]]:
    """Names and tensors of nested dictionaries."""
    if isinstance(tree, Tensor):
        raise ValueError("it is one tensor, not a dictionary of them")
    if not isinstance(tree, dict):
        raise ValueError(f"it holds no dictionary of tensors but of type {type(tree).__name__}")
    found, waiting, visited = [], [("", tree)], set()
    while waiting:
        prefix, node = waiting.pop()
        if id(node) in visited:
            raise ValueError("a dictionary stands in it twice")
        visited.add(id(node))
        for key, value in node.items():
            if isinstance(value, Tensor):
                found.append((f"{prefix}{key}", value))
            elif isinstance(value, dict):
                waiting.append((f"{prefix}{key}.", value))
    return found


# The numbers


def _array(tensor: Tensor, numbers: Callable[[Storage], np.ndarray]) -> np.ndarray:
    """A read-only view of the storage."""
    row = numbers(tensor.storage)[tensor.offset :]
    strides = [s * row.itemsize for s in tensor.stride]
    return np.lib.stride_tricks.as_strided(row, tensor.size, strides, writeable=False)


def _numbers(content: memoryview | bytes, storage: Storage, byteorder: str) -> np.ndarray:
    """The numbers [count] of a storage whose bytes begin with the content's."""
    dtype = storage.dtype
    start, size = storage.offset * dtype.itemsize, storage.count * dtype.itemsize
    if len(content) < start + size:
        raise ValueError(f"storage {storage.key[:50]} is cut off")
    words = np.frombuffer(content, f"u{dtype.itemsize}", storage.count, start)
    return (words.byteswap() if byteorder == "big" else words).view(dtype)


def _zip(content: bytes) -> tuple[Any, Callable[[Storage], np.ndarray]]:
    """The object of a zip file, and what reads its storages."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        members = {info.filename: info for info in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(f"the zip archive is damaged or cut off ({error})") from error
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise ValueError("the zip archive holds no data.pkl: it is no checkpoint")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in members:
        raise ValueError("it is a TorchScript program: save its state_dict() instead")

    @cache
    def member(name: str) -> bytes:
        if root + name not in members:
            raise ValueError(f"the zip archive has no {name[:50]}")
        info = members[root + name]
        if info.compress_type != zipfile.ZIP_STORED:  # PyTorch's never are: a bomb would be
            raise ValueError(f"{name[:50]} in the zip archive is compressed")
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"{name[:50]} in the zip archive is damaged ({error})") from error

    order = member("byteorder").decode("ascii", "replace") if f"{root}byteorder" in members else ""
    if order not in ("", "little", "big"):
        raise ValueError(f"its byte order is {order[:20]!r}")
    tree = safe_unpickle.load(io.BytesIO(member("data.pkl")), CALLS, NAMES, _storage)
    return tree, lambda storage: _numbers(member(f"data/{storage.key}"), storage, order)


def _legacy(content: bytes) -> tuple[Any, Callable[[Storage], np.ndarray]]:
    """The object of a legacy file, and what reads its storages: both from pickles in a row."""
    file = io.BytesIO(content)
    if safe_unpickle.load(file, CALLS, NAMES) != LEGACY:
        raise ValueError("it is a pickle, but none of PyTorch's")
    if safe_unpickle.load(file, {}) != LEGACY_PROTOCOL:
        raise ValueError("its protocol is unknown")
    system = safe_unpickle.load(file, {})
    tree = safe_unpickle.load(file, CALLS, NAMES, _storage)
    keys = safe_unpickle.load(file, {})
    sound = isinstance(system, dict) and isinstance(keys, list)
    if not sound or not all(isinstance(key, str) for key in keys):
        raise ValueError("its header is damaged")
    byteorder = "little" if system.get("little_endian", True) else "big"
    # Each storage is its count and its numbers, whose width only the pickle knows.
    widths = {tensor.storage.key: tensor.storage.dtype.itemsize for _, tensor in _tensors(tree)}
    rows, rest = {}, memoryview(content)[file.tell() :]
    for key in keys:
        if len(rest) < 8:
            raise ValueError("it is cut off")
        count = int.from_bytes(rest[:8], byteorder, signed=True)
        if key not in widths:
            raise ValueError(f"storage {str(key)[:50]} belongs to no tensor")
        size = count * widths[key]
        if count < 0 or len(rest) < 8 + size:
            raise ValueError("it is cut off")
        rows[key], rest = rest[8 : 8 + size], rest[8 + size :]

    def numbers(storage: Storage) -> np.ndarray:
        if storage.key not in rows:
            raise ValueError(f"storage {storage.key[:50]} is missing")
        return _numbers(rows[storage.key], storage, byteorder)

    return tree, numbers
