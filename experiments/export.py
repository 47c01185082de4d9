"""A trained model as one file that runs without dljax's models: for servers and other programs.

    python -m experiments.export --workdir=runs/image_classification
    python -m experiments.export --workdir=runs/forecasting --output=forecast.zip --platforms=cpu

    from dljax.train import export                             # all that the other side imports
    model = export.load("runs/image_classification/model.zip")
    model(image=images)["probability"]                         # uint8 [B, H, W, C] -> [B, classes]

Takes the best checkpoint of a run, the mean over its seeds. The file holds a StableHLO program for
any number of examples, preprocessing included, the weights, what inputs and outputs mean, and a
README. After writing, the file is read back and compared with what --predict computes.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import base

if TYPE_CHECKING:
    import numpy as np

    from dljax.train.export import Serving


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to export, and where to."""

    workdir: str = base.field("", "folder of the run to export", path=True)
    output: str = base.field("", "file to write; none: model.zip in the workdir", path=True)
    platforms: tuple[str, ...] = base.field(
        ("cpu", "cuda", "tpu"), "what it is to run on", choices=("cpu", "cuda", "rocm", "tpu")
    )

    def __post_init__(self):
        base.validate(self)
        if not self.workdir:
            raise ValueError("workdir must be the folder of a run: --workdir=runs/forecasting")
        if not self.platforms:
            raise ValueError("platforms must name at least one")


def serving(workdir: str) -> Serving:
    """What the experiment that left `workdir` serves.

    Raises FileNotFoundError where there is no run, ValueError where there is nothing to serve.
    """
    from experiments import session

    name = session.experiment(workdir)
    script = importlib.import_module(f"experiments.{name}")
    if not hasattr(script, "serving"):
        raise ValueError(
            f"a run of {name} can't be exported: it is no fixed function from inputs to outputs "
            "(agents act, detectors learn while they read); one of a supervised network can"
        )
    found = script.serving(script.Config(workdir=workdir))
    return found._replace(facts={"experiment": name, **found.facts})


def export(config: Config) -> Path:
    """Writes the file, reads it back and compares; returns its path."""
    import numpy as np

    from dljax.train import export

    model, path = serving(config.workdir), Path(config.output or f"{config.workdir}/model.zip")
    export.write(path, model, config.platforms)
    print(f"{path}: {path.stat().st_size / 1e6:.3g} MB, for {', '.join(config.platforms)}")
    for kind, fields in ("input", model.inputs), ("output", model.outputs):
        for name, field in fields.items():
            print(f"{kind} {name}: {field.dtype} [batch, {', '.join(map(str, field.shape))}]")
    try:
        read = export.load(path)
    except export.OtherPlatform as error:
        print(f"not compared with --predict: {error}")
        return path
    inputs = drawn(model)
    here, there = export.answers(model, inputs), read(**inputs)
    worst = max(float(np.abs(here[name] - there[name]).max()) for name in here)
    print("answers as --predict does, " + (f"within {worst:.1e}" if worst else "to the bit"))
    return path


def drawn(model: Serving, count: int = 3) -> dict[str, np.ndarray]:
    """Inputs drawn at random from their ranges; [count, ...] each."""
    import numpy as np

    rng, result = np.random.default_rng(0), {}
    for name, field in model.inputs.items():
        low, high = field.low or 0, 1 if field.high is None else field.high
        shape = (count, *field.shape)
        whole = np.issubdtype(field.dtype, np.integer)
        values = rng.integers(low, high + 1, shape) if whole else rng.uniform(low, high, shape)
        result[name] = values.astype(field.dtype)
    return result


def run(config: Config) -> None:
    """What the command line does."""
    export(config)


if __name__ == "__main__":
    base.main(run, Config, __doc__)
