"""The flags of sequence_probes."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import field

CELLS = ("rnn", "lstm", "gru")


@dataclass(frozen=True, kw_only=True)
class Config(OptimizerConfig):
    """The flags of the probes; the defaults are tuned for the adding problem."""

    workdir: str = field("runs/sequence_probes", "folder of the run", path=True, resume=False)
    dataset: str = field("digits", "images to read: digits, tfds:NAME, a folder", path=True)
    steps: int = field(2000, "training steps", minimum=1)
    batch_size: int = field(64, "sequences in a step", minimum=1)
    learning_rate: float = field(3e-3, "highest learning rate of the schedule", minimum=0)
    weight_decay: float = field(0.0, "weight decay (of kernels alone)", minimum=0)
    clip_norm: float = field(1.0, "largest norm of the gradient; 0: no clipping", minimum=0)

    probe: str = field("adding", "problem", choices=("adding", "digits_rows", "digits_pixels"))
    length: int = field(200, "length of the adding problem's sequences", minimum=2)
    cell: str = field("gru", "kind of layer", choices=CELLS)
    features: int = field(64, "units of a layer", minimum=1)
    depth: int = field(1, "layers above each other", minimum=1)
    dropout: float = field(0.0, "dropout between layers", minimum=0, maximum=0.9)
    validation: float = field(
        0.1, "share of the training images held out to choose by", minimum=0, maximum=0.9
    )
    baselines: bool = field(True, "score simple methods too", resume=False)
