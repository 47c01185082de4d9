"""Reads arrays from files of weights. No file is executed.

.safetensors                a header of names, dtypes and shapes, and the numbers
.pth, .pt, .bin, .ckpt, ... PyTorch's (`torch_file`), also .pth.tar, .th, .pkl
.npz                        numpy's, without pickled objects
.msgpack                    Flax's serialised dictionaries
a folder                    an orbax checkpoint, or a workdir: its best checkpoint or the newest
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.serialization import msgpack_restore
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

from dljax.train import checkpoint
from dljax.transfer import torch_file
from dljax.transfer.torch_file import Content

SAFETENSORS = {
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "BOOL": "bool",
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
}  # fmt: skip


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a file by their names, as `load`."""
    return load(path).arrays


def load(path: str | Path) -> Content:
    """The arrays of a file by their names, with the file's names, layouts and dtypes.

    Nested dictionaries are joined by dots in PyTorch's files and by slashes in those of Flax. What
    else is in PyTorch's files is skipped and named.
    Raises FileNotFoundError, or ValueError in one line for a file that is damaged, names two arrays
    alike, or holds something else.
    """
    path = Path(path)
    if path.is_dir():
        return Content(_orbax(path))
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"{path} is not a file of weights, whose names end in {', '.join(READERS)}"
        )
    try:
        content = reader(path)
    except (ValueError, OSError) as error:
        what = " ".join(str(error).split())
        raise ValueError(what if str(path) in what else f"{path} can't be read: {what}") from error
    content = content if isinstance(content, Content) else Content(content)
    if not content.arrays:
        raise ValueError(f"{path} holds no arrays")
    return content


def write(path: str | Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> None:
    """Writes arrays to a .safetensors file, with the text `about` them in its header."""
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"{path} must end in .safetensors")
    save_file({name: np.ascontiguousarray(x) for name, x in arrays.items()}, path, dict(about))


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        tensors = deserialize(path.read_bytes())
    except SafetensorError as error:
        raise ValueError(f"it is damaged, cut off or no safetensors file ({error})") from error
    arrays = {}
    for name, tensor in sorted(tensors):
        if tensor["dtype"] not in SAFETENSORS:
            raise ValueError(f"{name} has the dtype {tensor['dtype']}, which is not read")
        dtype = torch_file.DTYPES[SAFETENSORS[tensor["dtype"]]]
        arrays[name] = np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])
    return arrays


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise ValueError("it is one array, not a dictionary of them")
            if len(set(file.files)) < len(file.files):
                twice = next(x for x in file.files if file.files.count(x) > 1)
                raise ValueError(f"{twice} is in it twice")
            return dict(file)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(f"it is damaged, cut off or no .npz file ({error})") from error
    except ValueError as error:
        if "pickle" in str(error):
            raise ValueError(
                "it is damaged, or holds pickled objects, which are not read"
            ) from None
        raise


def _msgpack(path: Path) -> dict[str, np.ndarray]:
    try:
        return flatten(msgpack_restore(path.read_bytes()))
    except Exception as error:  # msgpack raises a dozen kinds for a damaged file
        raise ValueError(f"it is damaged or none of Flax's files ({error})") from error


def _orbax(folder: Path) -> dict[str, np.ndarray]:
    return flatten(checkpoint.arrays(folder))


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """The arrays in nested dictionaries, names joined by slashes; what is no array is left out.

    Raises ValueError for two arrays of one name.
    """
    found, waiting = {}, [("", tree)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, Mapping):
            waiting += [(f"{path}/{key}".lstrip("/"), value) for key, value in node.items()]
        elif isinstance(node, list | tuple):
            waiting += [(f"{path}/{index}".lstrip("/"), value) for index, value in enumerate(node)]
        elif isinstance(getattr(node, "dtype", None), np.dtype):  # the keys of jax.random are none
            if path in found:
                raise ValueError(f"{path} is in it twice, when its dictionaries are joined")
            found[path] = np.asarray(node)
    return dict(reversed(found.items()))


READERS: dict[str, Callable[[Path], dict[str, np.ndarray] | Content]] = {
    ".safetensors": _safetensors,
    ".pth": torch_file.load,
    ".pt": torch_file.load,
    ".bin": torch_file.load,
    ".ckpt": torch_file.load,
    ".tar": torch_file.load,  # as in .pth.tar, which is no archive
    ".th": torch_file.load,
    ".pkl": torch_file.load,
    ".npz": _npz,
    ".msgpack": _msgpack,
}


def read_json(path: Path) -> dict[str, Any]:
    """A configuration beside weights; ValueError where it is not a JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no configuration: it holds a {type(content).__name__}")
    return content
