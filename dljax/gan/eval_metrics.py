"""The metrics of an evaluation during training, from its Sums: FID, modes, losses."""

from __future__ import annotations

import numpy as np

from dljax.gan.scores import Features, Moments, frechet, moments
from dljax.train import metrics
from dljax.train.loop import Sums

NOT_SCALARS = ("samples", "features", "outer", "classes")


def summarise(reference: Features | None, sums: Sums) -> dict[str, np.ndarray]:
    """Metrics [seeds] of the Sums of `adversarial.task`.

    Of an evaluation with features also: fid, of as many samples as there were real images, against
    `reference` (training images); modes, the number of classes predicted for the samples;
    class_deviation, the largest deviation of a class's share from 1 / classes.
    """
    values = metrics.scalars({k: x for k, x in sums.items() if k not in NOT_SCALARS})
    if "features" not in sums or reference is None:
        return values
    of_training = moments(reference.features)
    (total, count), (outer, _), (classes, _) = (sums[k] for k in ("features", "outer", "classes"))
    rows = zip(np.asarray(count), np.asarray(total), np.asarray(outer), strict=True)
    values["fid"] = np.array(
        [
            frechet(of_training, Moments(float(n), x / n, xx / n))
            if np.isfinite(xx).all()
            else np.nan
            for n, x, xx in rows
        ]
    )
    shares = np.asarray(classes) / np.asarray(count)[:, None]
    values["modes"] = (shares > 0).sum(1).astype(float)
    values["class_deviation"] = np.abs(shares - 1 / shares.shape[1]).max(1)
    return values
