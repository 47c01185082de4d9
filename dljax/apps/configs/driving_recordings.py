"""The flags of autonomous_driving that only training from recordings uses."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import Config, field


@dataclass(frozen=True, kw_only=True)
class RecordingFlags(Config):
    """What a driver that learns from recorded drives is told besides."""

    max_steer_degrees: float = field(
        25.0, "degrees of a logged steering of 1: 25 in Udacity's, 1 for degrees, 57.3 for radians",
        minimum=0,
    )  # fmt: skip
    positive: str = field(
        "right", "where the log's positive angles steer", choices=("right", "left")
    )
    evaluate: str = field(
        "", "recordings to score the trained network on", path=True, resume=False, group="use"
    )
    crop_top: float = field(
        0.4, "share of the pictures cut off at the top", minimum=0, maximum=0.95
    )
    crop_bottom: float = field(
        0.15, "share of the pictures cut off at the bottom", minimum=0, maximum=0.95
    )
    frame_height: int = field(32, "height of the cut pictures that the network reads", minimum=1)
    frame_width: int = field(96, "width of them", minimum=1)
    validation: float = field(0.1, "share of each drive that validates", minimum=0, maximum=0.5)
    test: float = field(
        0.2, "share of each drive to test on, if the set has no such part", minimum=0, maximum=0.5
    )
    gap: int = field(10, "stamps left out between two parts of a drive", minimum=0)
    smooth: int = field(
        9, "stamps over which the angles to learn are averaged; 0: as they are", minimum=0
    )
    balance: float = field(
        0.0, "power of the inverse frequency of an angle in the loss", minimum=0, maximum=1
    )
    camera_correction: float = field(
        2.5, "degrees that the left and right camera steer back; 0: they are not used", minimum=0
    )
    mirror: bool = field(True, "mirror images at random, with the angle the other way")
    shift: float = field(
        0.2, "random move sideways, as a share of the width", minimum=0, maximum=0.5
    )
    shift_correction: float = field(30.0, "degrees for a move by the whole width", minimum=0)
    brightness: float = field(0.3, "random brightness and contrast", minimum=0, maximum=1)
    shadow: float = field(
        0.5, "darkest random shadow, as a share of the light", minimum=0, maximum=1
    )
    dropout: float = field(
        0.3, "share of features dropped before the dense layers", minimum=0, maximum=0.9
    )
