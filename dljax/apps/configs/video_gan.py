"""The flags of video_gan."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import field


@dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    """The flags of video GANs; the defaults are tuned for moving digits."""

    workdir: str = field("runs/video_gan", "folder of the run", path=True, resume=False)
    dataset: str = field("digits", "digits, tfds:NAME, or a folder of clips", path=True)
    steps: int = field(5000, "training steps: updates of the generator", minimum=1)
    batch_size: int = field(16, "clips in an update", minimum=1)
    learning_rate: float = field(1.5e-3, "of both networks", minimum=0)

    size: int = field(16, "height and width of a frame", minimum=8, maximum=128)
    frames: int = field(8, "frames of a clip", minimum=3, maximum=64)
    content: int = field(32, "numbers in the latent of a clip's content", minimum=1)
    motion: int = field(16, "numbers in the latent that starts the motion", minimum=1)
    noise: int = field(2, "further numbers for each frame of the motion", minimum=1)
    width: int = field(32, "channels of the generator's largest layer", minimum=1)
    clip_width: int = field(32, "of the first layer that judges clips", minimum=1)
    frame_width: int = field(32, "of the first layers that judge frames and identity", minimum=1)
    hidden: int = field(256, "numbers in a dense layer before the logits; 0: none", minimum=0)
    loss: str = field(
        "non_saturating",
        "adversarial loss",
        choices=("non_saturating", "hinge", "least_squares", "relativistic"),
    )
    schedule: str = field(
        "linear", "of the learning rates", choices=("constant", "linear", "cosine")
    )
    r1: float = field(0.5, "gamma of R1, the penalty at real clips", minimum=0)
    r2: float = field(0.0, "gamma of R2, the penalty at samples", minimum=0)
    penalty_every: int = field(8, "updates from one penalty to the next", minimum=1)
    beta1: float = field(0.5, "Adam's", minimum=0, maximum=0.9999)
    beta2: float = field(0.99, "Adam's", minimum=0, maximum=0.9999)
    ema: float = field(0.998, "decay of the generator's average", minimum=0, maximum=0.99999)

    score_clips: int = field(2000, "clips that are scored, at most", minimum=10)
    sample: int = field(
        0, "write so many samples of the trained generator", minimum=0, resume=False
    )
