"""Reads arrays from files of weights. No file is executed.

.safetensors                a header of names, dtypes and shapes, and the numbers
.pth, .pt, .bin, .ckpt      PyTorch's (`torch_file`)
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

SAFETENSORS = {
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "BOOL": "bool",
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
}  # fmt: skip


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a file by their names, with the file's names, layouts and dtypes.

    Nested dictionaries are joined by dots in PyTorch's files and by slashes in those of Flax.
    Raises FileNotFoundError, or ValueError in one line for a file that is damaged or holds
    something else.
    """
    path = Path(path)
    if path.is_dir():
        return _orbax(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.suffix not in READERS:
        raise ValueError(
            f"{path} is not a file of weights, whose names end in {', '.join(READERS)}"
        )
    try:
        arrays = READERS[path.suffix](path)
    except (ValueError, OSError) as error:
        what = " ".join(str(error).split())
        raise ValueError(what if str(path) in what else f"{path} can't be read: {what}") from error
    if not arrays:
        raise ValueError(f"{path} holds no arrays")
    return arrays


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
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError("it is one array, not a dictionary of them")
        with file:
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
    """The arrays in nested dictionaries, names joined by slashes; what is no array is left out."""
    found, waiting = {}, [("", tree)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, Mapping):
            waiting += [(f"{path}/{key}".lstrip("/"), value) for key, value in node.items()]
        elif isinstance(node, list | tuple):
            waiting += [(f"{path}/{index}".lstrip("/"), value) for index, value in enumerate(node)]
        elif isinstance(getattr(node, "dtype", None), np.dtype):  # the keys of jax.random are none
            found[path] = np.asarray(node)
    return dict(reversed(found.items()))


READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".safetensors": _safetensors,
    ".pth": torch_file.read,
    ".pt": torch_file.read,
    ".bin": torch_file.read,
    ".ckpt": torch_file.read,
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
