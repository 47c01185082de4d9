"""Images with a class for every pixel: the record, and the source of examples.

    data = load_masks("camvid/", size=(180, 240))   # MaskedImages; see __init__
    data.train[0]                                   # one example, decoded now: for data.streaming
    data.train.arrays()                             # all, decoded once: for data.feed.in_memory
    data.test.whole(3)                              # image and mask 3 in their original size

An example:
  image  uint8 [H, W, C], fitted to one size (letterbox.py)
  mask   uint8 [H, W]: index of the class, or IGNORE (255): unlabelled, or padding
  size   int32 [2]: height and width of the original image, for `letterbox.unfit_mask`
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dljax.data.sources.dataset import Arrays
from dljax.data.sources.image import Levels, UnreadableImage, read_image
from dljax.data.sources.vision.boxes import stack
from dljax.data.sources.vision.letterbox import FILL, Fit, Size, fit_mask, fitted, pad
from dljax.data.sources.vision.parts import Record, encoded, origins, refuse_unreadable


class Masked(NamedTuple):
    """An image and its mask. size: (height, width). read: () -> uint8 [H, W], checked.

    mask: the file that the mask comes from. record: of the image, where `file` is but its name.
    """

    file: Path
    mask: Path
    size: Size
    read: Callable[[], np.ndarray]
    upright: bool = True
    record: Record | None = None


class MaskSource(Sequence):
    """Random access to the examples of one part, decoded on demand.

    levels: of grey levels of more than 8 bits, the range that is scaled to 0..255.
    """

    def __init__(
        self,
        items: Sequence[Masked],
        classes: tuple[str, ...],
        size: Size,
        fit: Fit,
        channels: int,
        levels: Levels | None = None,
    ):
        self.items, self.classes, self.levels = items, classes, levels
        self.size, self.fit, self.channels = size, fit, channels

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        item = self.items[index]
        try:
            return self._example(item)
        except UnreadableImage as error:
            refuse_unreadable({item.file: error})
            raise

    def _example(self, item: Masked) -> dict[str, np.ndarray]:
        inner = fitted(item.size, self.size, self.fit)
        image = read_image(encoded(item), inner, self.channels, item.upright, self.levels)
        return {
            "image": pad(image, self.size, FILL),
            "mask": fit_mask(item.read(), self.size, self.fit),
            "size": np.array(item.size, np.int32),
        }

    def whole(self, index: int) -> dict[str, np.ndarray]:
        """An example in the size of its file."""
        item = self.items[index]
        image = read_image(encoded(item), item.size, self.channels, item.upright, self.levels)
        return {"image": image, "mask": item.read(), "size": np.array(item.size, np.int32)}

    def arrays(self, quiet: bool = True) -> Arrays:
        """All examples decoded and stacked: arrays [N, ...].

        Raises ValueError that names the images or masks that can't be read.
        """
        return stack(self, [item.file for item in self.items], self._example, quiet)

    def names(self) -> list[str]:
        """The path of each image."""
        return [str(item.file) for item in self.items]

    def files(self) -> list[str]:
        """What the part was read from, for its record."""
        masks = dict.fromkeys(str(item.mask) for item in self.items if item.record is None)
        return [*origins(self.items), *masks]

    def subset(self, indices: Sequence[int]) -> "MaskSource":
        """The examples at these indices."""
        chosen = [self.items[int(index)] for index in indices]
        return MaskSource(chosen, self.classes, self.size, self.fit, self.channels, self.levels)


class MaskedImages(NamedTuple):
    """A data set of images with class masks.

    train, validation, test: `MaskSource`s (or `scenes.SceneSource`s); train is empty where files
    were read for `Scoring`. ids: what each class is in the set's own masks, for results in its
    terms. palette: a colour for each class, None where the set has none. notes: lines for the user.
    """

    name: str
    train: Sequence
    test: Sequence
    classes: tuple[str, ...]
    validation: Sequence | None = None
    ids: tuple[int, ...] = ()
    palette: tuple[tuple[int, int, int], ...] | None = None
    notes: tuple[str, ...] = ()
