"""Writes the model of a run to a file, and verifies that the file computes what the run does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dljax.train import export as exported
from dljax.train.export import Serving


def export(path: Path, model: Serving, platforms: Sequence[str] = exported.PLATFORMS) -> None:
    """Writes the file, reads it back and compares its outputs with the model's, on random inputs.

    Prints size, inputs, outputs and the largest difference; without the comparison where the file
    is for other platforms than this one.
    """
    exported.write(path, model, platforms)
    print(f"{path}: {path.stat().st_size / 1e6:.3g} MB, for {', '.join(platforms)}")
    for kind, fields in ("input", model.inputs), ("output", model.outputs):
        for name, field in fields.items():
            print(f"{kind} {name}: {field.dtype} [{', '.join(map(str, ('batch', *field.shape)))}]")
    try:
        difference = largest_difference(path, model)
    except exported.OtherPlatform as error:
        print(f"not compared with the run: {error}")
        return
    print(
        "outputs equal those of --predict, "
        + (f"within {difference:.1e}" if difference else "bit for bit")
    )


def largest_difference(path: Path, model: Serving) -> float:
    """Between the outputs of the file and of the model, over random inputs."""
    inputs = random_inputs(model)
    expected, found = exported.answers(model, inputs), exported.load(path)(**inputs)
    return max(float(np.abs(expected[name] - found[name]).max()) for name in expected)


def random_inputs(model: Serving, count: int = 3) -> dict[str, np.ndarray]:
    """Inputs [count, ...] drawn uniformly from their ranges."""
    rng, inputs = np.random.default_rng(0), {}
    for name, field in model.inputs.items():
        low, high = field.low or 0, 1 if field.high is None else field.high
        shape = (count, *field.shape)
        if np.issubdtype(field.dtype, np.integer):
            values = rng.integers(low, high + 1, shape)
        else:
            values = rng.uniform(low, high, shape)
        inputs[name] = values.astype(field.dtype)
    return inputs
