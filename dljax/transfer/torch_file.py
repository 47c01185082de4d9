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
    "complex64": np.complex64, "complex128": np.complex128,
}  # fmt: skip
STORAGES = {
    "HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64",
    "BFloat16Storage": "bfloat16", "BoolStorage": "bool", "ByteStorage": "uint8",
    "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32", "LongStorage": "int64",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
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
    """A view of a storage, all in elements. negative, conjugate: how its numbers are meant."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    negative: bool = False
    conjugate: bool = False


class Content(NamedTuple):
    """arrays: by name. skipped: names of what is no tensor, with the class of objects."""

    arrays: dict[str, np.ndarray]
    skipped: tuple[str, ...] = ()


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a file, as `load`."""
    return load(path).arrays


def load(path: str | Path) -> Content:
    """The tensors of a file by their names, nested dictionaries and lists joined by dots.

    Arrays are read-only views with the file's dtypes. What else stands beside tensors is skipped
    and named; no object is built. Raises ValueError, in one line, for whatever is no dictionary of
    tensors, names two of them alike, or names what could run code.
    """
    content = Path(path).read_bytes()
    try:
        if content[:4] == b"PK\x03\x04":
            tree, storage = _zip(content)
        elif content[:1] == b"\x80":
            tree, storage = _legacy(content)
        elif not content:
            raise ValueError("it is empty")
        elif content[257:262] == b"ustar":
            raise ValueError("it is a tar archive: unpack it, and name the file of weights in it")
        elif content[:2] == b"\x1f\x8b":
            raise ValueError("it is packed by gzip: unpack it first")
        else:
            raise ValueError("it is neither a zip archive nor a pickle")
        tensors, skipped = _tensors(tree)
        arrays: dict[str, np.ndarray] = {}
        for name, tensor in tensors:
            if name in arrays:
                raise ValueError(f"{name[:100]} is in it twice, when its dictionaries are joined")
            arrays[name] = _array(tensor, storage)
    except ValueError as error:
        raise ValueError(
            f"{path} can't be read as a PyTorch file: {safe_unpickle.line(error)}"
        ) from error
    if not arrays:
        beside = f", only {', '.join(skipped[:5])[:200]}" if skipped else ""
        raise ValueError(f"{path} can't be read as a PyTorch file: it holds no tensor{beside}")
    return Content(arrays, tuple(skipped))


# The pickle


def _tensor(
    storage, offset, size, stride, requires_grad=False, hooks=None, metadata=None
) -> Tensor:
    """`_rebuild_tensor` and `_rebuild_tensor_v2`: gradients and hooks do not matter here."""
    del requires_grad, hooks
    if not isinstance(storage, Storage) or storage.dtype is None:
        raise ValueError("a tensor without a storage")
    return _checked(Tensor(storage, offset, size, stride, *_meaning(metadata)))


def _meaning(metadata: Any) -> tuple[bool, bool]:
    """Whether a tensor's numbers are meant negated, and conjugated."""
    if metadata is None:
        return False, False
    if not isinstance(metadata, dict) or metadata.keys() - {"neg", "conj"}:
        raise ValueError(f"a tensor with properties that are not known: {str(metadata)[:100]}")
    return bool(metadata.get("neg")), bool(metadata.get("conj"))


def _typed_tensor(
    storage, offset, size, stride, requires_grad, hooks, dtype, metadata=None
) -> Tensor:
    """`_rebuild_tensor_v3`: the storage is bytes, the dtype stands apart."""
    del requires_grad, hooks
    name = dtype.path.removeprefix("torch.") if isinstance(dtype, safe_unpickle.Name) else ""
    if not isinstance(storage, Storage) or storage.dtype is not None or name not in DTYPES:
        raise ValueError("a tensor without a storage")
    kind = np.dtype(DTYPES[name])
    storage = storage._replace(dtype=kind, count=storage.count // kind.itemsize)
    return _checked(Tensor(storage, offset, size, stride, *_meaning(metadata)))


def _of_type(function, kind, arguments, state) -> Any:
    """`_rebuild_from_type_v2`: a tensor of a class of its own, whose state does not matter."""
    del kind, state
    if not isinstance(function, safe_unpickle.Name) or function.path not in REBUILDERS:
        raise ValueError("a tensor of a class that is not known")
    return CALLS[function.path](*arguments)


def _checked(tensor: Tensor) -> Tensor:
    """The tensor, if it lies in its storage; ValueError otherwise."""
    storage, offset, size, stride, *_ = tensor
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
    "torch._utils._rebuild_parameter_with_state": lambda tensor, *rest: tensor,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.Size": lambda size: size,
    "collections.defaultdict": lambda *kind: {},
}
REBUILDERS = frozenset(name for name in CALLS if name.startswith("torch._utils."))


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


def _tensors(tree: Any) -> tuple[list[tuple[str, Tensor]], list[str]]:
    """Names and tensors of nested dictionaries and lists; what else there is, by name."""
    if isinstance(tree, Tensor):
        raise ValueError("it is one tensor, not a dictionary of them")
    if isinstance(tree, safe_unpickle.Thing | safe_unpickle.Name):
        raise ValueError(
            f"it is an object of {tree.path[:100]}, not built here: save its state_dict()"
        )
    if not isinstance(tree, dict):
        raise ValueError(f"it holds no dictionary of tensors but of type {type(tree).__name__}")
    found, skipped, waiting, visited = [], [], [("", tree)], {}
    while waiting:
        prefix, node = waiting.pop()
        if id(node) in visited:
            first = visited[id(node)] or "the whole"
            skipped.append(f"{prefix[:-1]} (there twice, it is {first})")
            continue
        visited[id(node)] = prefix[:-1]
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            name = f"{prefix}{key}"
            if isinstance(value, Tensor):
                found.append((name, value))
            elif isinstance(value, safe_unpickle.Thing | safe_unpickle.Name):
                skipped.append(f"{name} ({value.path[:100]})")
            elif isinstance(value, Storage):
                skipped.append(f"{name} (a storage without a tensor)")
            elif isinstance(value, dict) or (isinstance(value, list | tuple) and _holds(value)):
                waiting.append((f"{name}.", value))
            elif isinstance(node, dict) and not prefix:
                skipped.append(name)
    return found, skipped


def _holds(values: list | tuple) -> bool:
    """Whether a list has more in it than numbers and text."""
    return any(isinstance(x, dict | list | tuple | safe_unpickle.Thing) for x in values)


# The numbers


def _array(tensor: Tensor, numbers: Callable[[Storage], np.ndarray]) -> np.ndarray:
    """A read-only view of the storage."""
    row = numbers(tensor.storage)[tensor.offset :]
    strides = [s * row.itemsize for s in tensor.stride]
    array = np.lib.stride_tricks.as_strided(row, tensor.size, strides, writeable=False)
    if tensor.conjugate:
        array = array.conj()
    return -array if tensor.negative else array


def _numbers(content: memoryview | bytes, storage: Storage, byteorder: str) -> np.ndarray:
    """The numbers [count] of a storage whose bytes begin with the content's."""
    dtype = storage.dtype
    start, size = storage.offset * dtype.itemsize, storage.count * dtype.itemsize
    if len(content) < start + size:
        raise ValueError(f"storage {storage.key[:50]} is cut off")
    part = dtype.itemsize // (2 if dtype.kind == "c" else 1)
    words = np.frombuffer(content, f"u{part}", size // part, start)
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
        if info.CRC == 0:  # saved without: torch.serialization.set_crc32_options(False)
            info.CRC = None
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"{name[:50]} in the zip archive is damaged ({error})") from error

    order = member("byteorder").decode("ascii", "replace") if f"{root}byteorder" in members else ""
    if order not in ("", "little", "big"):
        raise ValueError(f"its byte order is {order[:20]!r}")
    tree = safe_unpickle.load(io.BytesIO(member("data.pkl")), CALLS, NAMES, _storage, True)
    return tree, lambda storage: _numbers(member(f"data/{storage.key}"), storage, order)


def _legacy(content: bytes) -> tuple[Any, Callable[[Storage], np.ndarray]]:
    """The object of a legacy file, and what reads its storages: both from pickles in a row."""
    file = io.BytesIO(content)
    if safe_unpickle.load(file, CALLS, NAMES) != LEGACY:
        raise ValueError("it is a pickle, but none of PyTorch's")
    if safe_unpickle.load(file, {}) != LEGACY_PROTOCOL:
        raise ValueError("its protocol is unknown")
    system = safe_unpickle.load(file, {})
    tree = safe_unpickle.load(file, CALLS, NAMES, _storage, True)
    keys = safe_unpickle.load(file, {})
    sound = isinstance(system, dict) and isinstance(keys, list)
    if not sound or not all(isinstance(key, str) for key in keys):
        raise ValueError("its header is damaged")
    byteorder = "little" if system.get("little_endian", True) else "big"
    # Each storage is its count and its numbers, whose width only the pickle knows.
    widths = {tensor.storage.key: tensor.storage.dtype.itemsize for _, tensor in _tensors(tree)[0]}
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
