"""Windows of several series, for one network: each is split and scaled by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dljax.data.window_batches import Cutter, held_out, train_feed
from dljax.data.windows import Windows


def join(
    parts: Sequence[Windows], labels: Sequence[str], batch_size: int, multiple: int = 1
) -> Windows:
    """The `Windows` of all series: rows one below the other, no window across a border.

    parts: of each series, with the same columns, window and horizon. batch_size: of training.
    multiple: as in `windows`. Raises ValueError for a batch larger than all training windows.
    """
    first = parts[0]
    lengths = [len(part.values) for part in parts]
    begins = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32)
    values, known = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("values", "known")
    )
    origins = {
        name: np.concatenate(
            [part.origins[name] + begin for part, begin in zip(parts, begins, strict=True)]
        )
        for name in first.origins
    }
    covariates = len(first.covariate_scaler.mean) - first.coming
    cut = Cutter(first.window, first.horizon, values.shape[1], covariates)
    starts = {name: x - first.window for name, x in origins.items()}
    validation, test = held_out(values, known, starts, batch_size, multiple, cut)
    return first._replace(
        train=train_feed(values, known, starts["train"], batch_size, cut),
        validation=validation,
        test=test,
        values=values,
        known=known,
        origins=origins,
        parts=tuple(parts),
        labels=tuple(labels),
    )
