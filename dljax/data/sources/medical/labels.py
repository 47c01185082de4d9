"""Images or volumes with labels, read whole, with their patients where these are named."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dljax.data.sources.image import Levels

Arrays = dict[str, np.ndarray]


class LabelledImages(NamedTuple):
    """A set in its parts: 'train', 'test', perhaps 'validation'.

    parts: {"image": uint8 [N, (D,) H, W, C], "label": int32 [N], or [N, K] of 0 and 1}.
    classes: names of classes or labels. notes, left_out: lines for the user. patients: of each
    example of each part, where they are named. levels: as of `sources.Dataset`.
    """

    name: str
    parts: dict[str, Arrays]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    patients: dict[str, tuple[str, ...]] | None = None
    levels: Levels | None = None

    @property
    def multi_label(self) -> bool:
        """Whether an image has several labels, each present or not, in place of one class."""
        return self.parts["train"]["label"].ndim == 2
