"""EfficientNet-Lite: EfficientNet for small devices, without squeeze-and-excitation or swish.

EfficientNet (Tan & Le 2019, arXiv:1905.11946) scales depth and width of one network together. Its
Lite form (Liu 2020, "Higher accuracy on vision models with EfficientNet-Lite") is MobileNetV2 with
other stages and ReLU6; the stem, the first stage's and the last stage's depth and the head stay
as they are at every scale.
"""

import math
from collections.abc import Callable
from functools import partial

from dljax.nn.mobilenet import MobileNetV2

STAGES = (  # expansion, width, blocks, stride, kernel: the paper's table 1
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)),
    *((6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)


def scaled(width: float, depth: float) -> tuple[tuple[int, int, int, int, int], ...]:
    """The stages with channels times `width`, to the next multiple of 8, and blocks times `depth`.

    Rounding takes off no more than a tenth of the channels.
    """
    stages = []
    for index, (expansion, channels, blocks, stride, kernel) in enumerate(STAGES):
        wide = max(int(channels * width + 4) // 8 * 8, 8)
        wide += 8 if wide < 0.9 * channels * width else 0
        if 0 < index < len(STAGES) - 1:
            blocks = math.ceil(depth * blocks)
        stages.append((expansion, wide, blocks, stride, kernel))
    return tuple(stages)


def _lite(width: float, depth: float) -> Callable[..., MobileNetV2]:
    return partial(MobileNetV2, stages=scaled(width, depth), same_padding=True, epsilon=1e-3)


efficientnet_lite0 = _lite(1.0, 1.0)  # for images of 224 pixels
efficientnet_lite1 = _lite(1.0, 1.1)  # 240
efficientnet_lite2 = _lite(1.1, 1.2)  # 260
