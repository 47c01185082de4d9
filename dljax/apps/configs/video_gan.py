"""The flags of video_gan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig):
    """The flags of video GANs; the defaults are tuned for moving digits."""

    name: ClassVar[str] = "video_gan"
    not_served: ClassVar[tuple[str, ...]] = ("choose_by", "patience")  # no score chooses

    dataset = override("digits", help="digits, tfds:NAME, or a folder of clips")
    steps = override(5000, help="training steps: updates of the generator")
    convolution = override("native")
    batch_size = override(16, help="clips in an update")
    learning_rate = override(1.5e-3, help="learning rate of both networks")

    size: int = field(16, "height and width of a frame", minimum=8, maximum=128)
    frames: int = field(8, "frames of a clip", minimum=3, maximum=64)
    content: int = field(32, "dimension of the content latent", minimum=1)
    motion: int = field(16, "dimension of the latent that starts the motion", minimum=1)
    noise: int = field(2, "dimension of the motion's noise in each frame", minimum=1)
    width: int = field(32, "channels of the generator's largest layer", minimum=1)
    clip_width: int = field(32, "channels of the clip discriminator's first layer", minimum=1)
    frame_width: int = field(
        32, "channels of the first layers of the frame and identity discriminators", minimum=1
    )
    hidden: int = field(256, "units of a dense layer before the logits; 0: none", minimum=0)
    loss: str = field(
        "non_saturating",
        "adversarial loss",
        choices=("non_saturating", "hinge", "least_squares", "relativistic"),
    )
    r1: float = field(0.5, "gamma of R1, the penalty at real clips", minimum=0)
    r2: float = field(0.0, "gamma of R2, the penalty at samples", minimum=0)
    penalty_every: int = field(8, "updates from one penalty to the next", minimum=1)
    score_clips: int = field(2000, "clips that are scored, at most", minimum=10)

    schedule: str = field(
        "linear",
        "schedule of the learning rates",
        choices=("constant", "linear", "cosine"),
        group="optimizer",
    )
    beta1: float = field(0.5, "beta1 of Adam", minimum=0, maximum=0.9999, group="optimizer")
    beta2: float = field(0.99, "beta2 of Adam", minimum=0, maximum=0.9999, group="optimizer")
    ema: float = field(
        0.998,
        "decay of the averaged generator",
        minimum=0,
        maximum=0.99999,
        group="optimizer",
    )

    sample: int = field(
        0,
        "write this many clips by the trained generator",
        minimum=0,
        resume=False,
        group="use",
    )
