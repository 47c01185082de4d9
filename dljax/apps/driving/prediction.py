"""--predict of a trained driver, an angle for each picture; export of one of recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax import plots
from dljax.cnn.driving import recorded
from dljax.cnn.driving.target import Target
from dljax.data.sources.driving import frames
from dljax.data.sources.driving.frames import Framing
from dljax.data.sources.layout import image_files, natural
from dljax.run.workdirs import predictions_folder
from dljax.train.export import Field, Serving, in_pieces
from dljax.train.files import write_csv
from dljax.train.loop import Array
from dljax.train.supervised import State

DRAWN = 12  # pictures
PRINTED = 20  # lines


def predict(
    path: str,
    answer: Callable[[Array], Mapping[str, Array]],
    framing: Framing,
    max_steer_degrees: float,
    positive: str,
    workdir: Path,
    draw: bool,
    step: int,
) -> list[dict[str, Any]]:
    """An angle for each picture of a path, in the order of their names.

    answer: pictures uint8 [B, h, w, 3] -> degrees [B] and perhaps more; it is given all pictures in
    pieces, in their order. step: of the checkpoint. Writes predictions.csv (file, degrees,
    steering, what else is answered) and a picture to workdir/predictions/.
    """
    folder, root = predictions_folder(workdir, path), Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"There is no picture or folder {path}.")
    files = sorted(image_files(root), key=natural) if root.is_dir() else [root]
    if not files:
        raise ValueError(f"{path} has no image files.")
    read = frames.read_files([str(x) for x in files], framing)
    answers = in_pieces(lambda x: answer(x["image"]), {"image": read})
    degrees = answers.pop("degrees")
    rows = [
        {
            "file": file.relative_to(root).as_posix() if root.is_dir() else file.name,
            "degrees": round(float(degrees[i]), 4),
            "steering": round(float(degrees[i]) / max_steer_degrees, 6),
            **{name: round(float(x[i]), 4) for name, x in answers.items()},
        }
        for i, file in enumerate(files)
    ]
    write_csv(folder / "predictions.csv", rows)
    for row in rows[:PRINTED]:
        print(f"{row['file']}: {row['degrees']:+.2f} degrees")
    if draw:
        shown = np.unique(np.linspace(0, len(files) - 1, DRAWN).astype(int))
        plots.steering.frames(
            [frames.picture(str(files[i])) for i in shown],
            {"network": degrees[shown]},
            [f"{rows[i]['file']}: {degrees[i]:+.1f}°" for i in shown],
            positive,
            folder / "frames.png",
        )
    print(
        f"{len(rows)} pictures, positive is {positive}, by the checkpoint of step {step}; "
        f"{folder}/predictions.csv"
    )
    return rows


def serving(
    model: nn.Module,
    target: Target,
    states: State,
    framing: Framing,
    size: tuple[int, int],
    metadata: Mapping[str, Any],
) -> Serving:
    """The function of whole pictures uint8 [B, H, W, 3] of this size to degrees [B].

    It cuts and resizes as Pillow does, to the byte. states: with the leading axis of the seeds.
    """
    rows, columns = frames.weights(framing, size)

    def function(weights: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
        states, rows, columns = weights
        x = inputs["image"].astype(jnp.float32)
        with jax.default_matmul_precision("float32"):
            x = jnp.floor(jnp.einsum("wv,bhvc->bhwc", columns, x) + 0.5)
            x = jnp.floor(jnp.einsum("hu,buwc->bhwc", rows, x) + 0.5)
        angle = recorded.answer(model, target, states, x.astype(jnp.uint8))
        return {"degrees": angle.mean(0)}

    return Serving(
        function,
        (states, jnp.asarray(rows), jnp.asarray(columns)),
        {"image": Field((*size, 3), "uint8", about="a picture of the centre camera, as recorded")},
        {"degrees": Field((), about=f"the steering angle; positive is {metadata['positive']}")},
        metadata,
    )
