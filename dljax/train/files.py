"""Small files written so that a crash or a full disk leaves nothing half-done or unsaid."""

import contextlib
import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np


def write_json(path: Path | str, value: Any) -> None:
    """Writes `jsonable(value)`, indented, by `replace`."""
    replace(Path(path), json.dumps(jsonable(value), indent=2, allow_nan=False) + "\n")


def write_csv(
    path: Path | str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()
) -> None:
    """Writes rows under a header, by `replace`; columns: of the header where there is no row."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else list(columns), restval="")
    writer.writeheader()
    writer.writerows(rows)
    replace(Path(path), text.getvalue())


def jsonable(value: Any) -> Any:
    """The same value in JSON's types: arrays as lists, paths as text, NaN and infinity as None.

    Raises TypeError for what has no such form.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return jsonable(np.asarray(value).tolist())
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return jsonable({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    raise TypeError(f"{type(value).__name__} has no form in JSON: {value!r}")


def append(path: Path, text: str) -> None:
    """Appends text without a buffer, so that nothing is left to fail at closing."""
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab", buffering=0) as file:
            data = text.encode()
            while data:  # on a nearly full disk a write stops half-way, and the next one says why
                data = data[file.write(data) :]


def replace(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader, and a crash, leaves either the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Gives an OSError the name of the file, which a failing write lacks."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
