"""The flags of sequence_probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig

CELLS = ("rnn", "lstm", "gru")


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of the probes; the defaults are tuned for the adding problem."""

    name: ClassVar[str] = "sequence_probes"

    dataset = override("digits", help="images to read: digits, letters, tfds:NAME, a folder")
    steps = override(2000)
    batch_size = override(64)
    learning_rate = override(3e-3)
    weight_decay = override(0.0)
    clip_norm = override(1.0)

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

    def subject(self) -> str:
        """The problem and the cell, with the data set where there is one."""
        if self.probe == "adding":
            return f"adding-{self.cell}"
        return f"{super().subject()}-{self.probe.removeprefix('digits_')}-{self.cell}"
