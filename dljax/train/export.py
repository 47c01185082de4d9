"""A trained model as one file that runs without its code: StableHLO, weights, and a description.

`write` makes the file with `jax.export`; `load` runs it in any process that has jax, numpy and
flatbuffers (which jax.export wants): nothing else of dljax is imported. The file is a zip of
`program.bin` (for any number of examples, for several platforms), `weights.npz`, `model.json`
(names, shapes, types and ranges of inputs and outputs) and a `README.md`.

The weights are arguments of the program, not constants in it, so that the compiler optimises the
same operations as in `answers`: the outputs are bit for bit the same on the same device.
"""

from __future__ import annotations

import functools
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export as jax_export

from dljax.train import files

PLATFORMS = ("cpu", "cuda", "tpu")
FORMAT = 1
AT_ONCE = 256  # examples in one call of the program, at most

Array = jax.Array
Inputs = Mapping[str, np.ndarray]
Outputs = dict[str, np.ndarray]


class OtherPlatform(ValueError):
    """The file holds no program for this platform."""


class Field(NamedTuple):
    """One input or output, an array [B, *shape].

    low, high: the range of an input, both inclusive; None: any finite number. names: of the entries
    of the last axis (classes, columns); () where they have none. about: a short description.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()
    about: str = ""


class Serving(NamedTuple):
    """The function of a trained model, with its description.

    function: (weights, inputs {name: [B, ...]}) -> outputs {name: [B, ...]}, pure, and
    independent for each example. metadata: added to model.json (experiment, step, seeds).
    """

    function: Callable[[Any, Mapping[str, Array]], Mapping[str, Array]]
    weights: Any
    inputs: Mapping[str, Field]
    outputs: Mapping[str, Field]
    metadata: Mapping[str, Any] = {}


class Model(NamedTuple):
    """An exported model: called with arrays by name, it returns arrays by name.

    manifest: the content of model.json.
    """

    manifest: dict[str, Any]
    inputs: dict[str, Field]
    call: Callable[[Inputs], Outputs]

    def __call__(self, **inputs: Any) -> Outputs:
        """Outputs [B, ...] of inputs [B, ...], float or integer as the manifest says.

        Raises ValueError, in one line, for inputs of other names, shapes or kinds, out of range, or
        not finite.
        """
        return self.call(checked(self.inputs, inputs))


def answers(serving: Serving, inputs: Inputs) -> Outputs:
    """Outputs [N, ...] of the model for inputs [N, ...], computed without a file."""
    return in_pieces(functools.partial(jax.jit(serving.function), serving.weights), inputs)


def in_pieces(
    function: Callable[[Inputs], Mapping[str, Array]], inputs: Inputs, size: int = AT_ONCE
) -> Outputs:
    """Outputs [N, ...] of a function of at most `size` examples; the last piece is padded."""
    count = len(next(iter(inputs.values())))
    size = min(size, count)
    pieces = []
    for i in range(0, count, size):
        piece = {name: x[i : i + size] for name, x in inputs.items()}
        rows = min(size, count - i)
        filled = {
            name: np.pad(x, ((0, size - rows), *((0, 0) for _ in x.shape[1:])))
            for name, x in piece.items()
        }
        pieces.append({name: np.asarray(x)[:rows] for name, x in function(filled).items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def write(path: Path | str, serving: Serving, platforms: Sequence[str] = PLATFORMS) -> None:
    """Writes the model as one file, whole or not at all.

    Raises ValueError where the function's outputs are not those declared, and jax's errors where it
    can't trace the function for any number of examples or lower it for a platform.
    """
    leaves, structure = jax.tree.flatten(serving.weights)
    leaves = [np.asarray(x) for x in leaves]

    def function(leaves, inputs):
        return dict(serving.function(jax.tree.unflatten(structure, leaves), inputs))

    batch = jax_export.symbolic_shape("batch")
    shapes = {
        name: jax.ShapeDtypeStruct((*batch, *field.shape), field.dtype)
        for name, field in serving.inputs.items()
    }
    exported = jax_export.export(jax.jit(function), platforms=tuple(platforms))(leaves, shapes)
    found = {name: (x.shape[1:], str(x.dtype)) for name, x in _outputs(exported).items()}
    declared = {name: (field.shape, field.dtype) for name, field in serving.outputs.items()}
    if found != declared:
        raise ValueError(f"the function returns {found}, but declares {declared}")
    manifest = {
        "format": FORMAT,
        **serving.metadata,
        "inputs": {name: _described(field) for name, field in serving.inputs.items()},
        "outputs": {name: _described(field) for name, field in serving.outputs.items()},
        "platforms": list(exported.platforms),
        "examples_at_once": AT_ONCE,
        "weights": sum(x.size for x in leaves),
        "calling_convention": exported.calling_convention_version,
        "versions": {"jax": jax.__version__, "numpy": np.__version__},
    }
    arrays, content = io.BytesIO(), io.BytesIO()
    np.savez(arrays, **{f"{i:05d}": x for i, x in enumerate(leaves)})
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("README.md", _readme(manifest))
        archive.writestr("model.json", json.dumps(files.jsonable(manifest), indent=2) + "\n")
        archive.writestr("program.bin", bytes(exported.serialize()))
        archive.writestr("weights.npz", arrays.getvalue())
    files.replace(Path(path), content.getvalue())


def load(path: Path | str) -> Model:
    """The model in a file that `write` made, ready to be called on jax's default device.

    A file of a newer jax is tried on one example. Raises FileNotFoundError; ValueError for a file
    that is damaged, of another format or of an incompatible jax; OtherPlatform for a file for other
    platforms than this one.
    """
    manifest, program, leaves = _read(Path(path))
    low = jax_export.minimum_supported_calling_convention_version
    high = jax_export.maximum_supported_calling_convention_version
    made = manifest["versions"]["jax"]
    if not low <= manifest["calling_convention"] <= high:
        age = "old" if manifest["calling_convention"] > high else "new"
        raise ValueError(
            f"jax {jax.__version__} is too {age} for {path}, written by jax {made}: "
            "install that one, or export again"
        )
    platform = jax_export.default_export_platform()
    if platform not in manifest["platforms"]:
        raise OtherPlatform(
            f"{path} is for {', '.join(manifest['platforms'])}, not for {platform}: "
            "export it for this platform too, or set JAX_PLATFORMS"
        )
    weights = [jax.device_put(x) for x in leaves]
    inputs = {name: _field(entry) for name, entry in manifest["inputs"].items()}
    try:
        exported = jax_export.deserialize(bytearray(program))
        exported.mlir_module()  # which reads StableHLO, of another version perhaps
        function = functools.partial(jax.jit(exported.call), weights)
        if _version(made) > _version(jax.__version__):  # what it uses may be unknown here
            function({name: _blank(field) for name, field in inputs.items()})
    except Exception as error:  # of flatbuffers, MLIR or jax: their types are no promise
        said = " ".join(str(error).split())[:100]
        raise ValueError(
            f"jax {jax.__version__} can't read the program in {path}, written by jax {made}: "
            "install that one or a newer one, or export again with this one "
            f"({type(error).__name__}: {said})"
        ) from error
    return Model(
        manifest, inputs, lambda given: in_pieces(function, given, manifest["examples_at_once"])
    )


def checked(fields: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The inputs in their declared types; ValueError for invalid ones."""
    if given.keys() != fields.keys():
        raise ValueError(f"the inputs are {', '.join(fields)}; given: {', '.join(given) or 'none'}")
    arrays, counts = {}, {}
    for name, field in fields.items():
        x = np.asarray(given[name])
        if x.ndim != len(field.shape) + 1 or x.shape[1:] != tuple(field.shape) or not len(x):
            wanted = ", ".join(map(str, ("B", *field.shape)))
            raise ValueError(f"{name} has the shape {x.shape}, it must be [{wanted}] with B >= 1")
        whole = np.issubdtype(field.dtype, np.integer)
        if not np.issubdtype(x.dtype, np.integer if whole else np.number) or x.dtype.kind == "c":
            raise ValueError(f"{name} has the type {x.dtype}, it must be {field.dtype}")
        low, high = (np.iinfo(field.dtype).min, np.iinfo(field.dtype).max) if whole else (None,) * 2
        low, high = (a if b is None else b for a, b in ((low, field.low), (high, field.high)))
        if (low is not None and x.min() < low) or (high is not None and x.max() > high):
            raise ValueError(
                f"{name} has values outside of {low} to {high}: {x.min()} to {x.max()}"
            )
        arrays[name], counts[name] = x.astype(field.dtype), len(x)
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} has values that are not finite (NaN or infinite)")
    if len(set(counts.values())) > 1:
        raise ValueError(f"the inputs have different numbers of examples: {counts}")
    return arrays


def _read(path: Path) -> tuple[dict[str, Any], bytes, list[np.ndarray]]:
    """model.json, program.bin and the arrays of weights.npz."""
    try:
        with zipfile.ZipFile(path) as archive:  # each part is read against its checksum
            manifest = json.loads(archive.read("model.json"))
            program, arrays = archive.read("program.bin"), io.BytesIO(archive.read("weights.npz"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"{path} is of format {manifest['format']}, this reads {FORMAT}")
        with np.load(arrays, allow_pickle=False) as found:
            return manifest, program, [found[name] for name in sorted(found.files)]
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no file {path}: python -m experiments.export writes one"
        ) from None
    except (zipfile.BadZipFile, KeyError, EOFError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged or no exported model: {error}") from None


def _version(text: str) -> tuple[int, ...]:
    """(0, 10, 2) of '0.10.2.dev3'."""
    return tuple(int(x) for x in re.findall(r"\d+", text)[:3])


def _blank(field: Field) -> np.ndarray:
    """One example for an input, within its range."""
    return np.full((1, *field.shape), 0 if field.low is None else field.low, field.dtype)


def _outputs(exported: jax_export.Exported) -> dict[str, Any]:
    return jax.tree.unflatten(exported.out_tree, exported.out_avals)


def _described(field: Field) -> dict[str, Any]:
    return {**field._asdict(), "shape": ["batch", *field.shape]}


def _field(entry: Mapping[str, Any]) -> Field:
    values = {**entry, "shape": tuple(entry["shape"][1:]), "names": tuple(entry["names"])}
    return Field(**values)


def _readme(manifest: Mapping[str, Any]) -> str:
    lines = ["# An exported model", ""]
    for kind in ("inputs", "outputs"):
        lines += [f"{kind.capitalize()} (`batch` is any number of examples):", ""]
        for name, entry in manifest[kind].items():
            shape = ", ".join(map(str, entry["shape"]))
            lines.append(f"- `{name}`, {entry['dtype']} [{shape}]: {entry['about']}")
        lines.append("")
    lines.append("")
    names = ", ".join(f"{name}={name}" for name in manifest["inputs"])
    pairs = ", ".join(f'"{name}": {name}' for name in manifest["inputs"])
    return (
        "\n".join(lines)
        + f"""\
Names of classes and columns, ranges and versions are in `model.json`. With dljax, of which no code
of models is needed (inputs are checked, outputs are numpy arrays):

    from dljax.train import export
    outputs = export.load("model.zip")({names})

With jax {manifest["versions"]["jax"]} or newer alone, in the unpacked folder:

    import jax, numpy as np
    from jax import export
    program = export.deserialize(bytearray(open("program.bin", "rb").read()))
    weights = np.load("weights.npz")
    weights = [weights[name] for name in sorted(weights.files)]
    outputs = jax.jit(program.call)(weights, {{{pairs}}})

It runs on: {", ".join(manifest["platforms"])}.
"""
    )
