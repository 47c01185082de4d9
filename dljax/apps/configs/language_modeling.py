"""The flags of language_modeling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig

MODELS = ("lstm", "gru", "rnn", "mingru", "transformer")
TOKENS = ("characters", "bytes", "bpe")


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of language modelling; the defaults are tuned for the embedded text."""

    name: ClassVar[str] = "language_modeling"
    not_served: ClassVar[tuple[str, ...]] = ("data_dir",)

    dataset = override("kjv", help="kjv, a text file, a folder of .txt files, or a .jsonl")
    steps = override(3000)
    batch_size = override(32, help="streams that are read side by side")
    learning_rate = override(3e-3)
    clip_norm = override(1.0)

    text_column: str = field("text", "field of a .jsonl file that holds the text")
    tokens: str = field("characters", "what is read and predicted", choices=TOKENS)
    vocabulary: int = field(1024, "tokens of bpe", minimum=258, maximum=65536)
    validation: float = field(
        0.05, "share of the characters, after the training part", minimum=0, maximum=0.8
    )
    test: float = field(0.1, "share of the characters, the last ones", minimum=0.001, maximum=0.8)

    model: str = field("lstm", "network", choices=MODELS)
    features: int = field(256, "units of a layer", minimum=2)
    depth: int = field(1, "layers", minimum=1)
    bptt: int = field(64, "tokens that a step reads of each stream", minimum=1)
    memory: int = field(128, "tokens that a transformer attends to", minimum=1)
    heads: int = field(4, "heads of a transformer", minimum=1)
    tied: bool = field(False, "share input embeddings and output weights (recurrent networks)")
    norm: bool = field(False, "layer normalisation (recurrent networks)")
    residual: bool = field(False, "add a layer's inputs to its outputs (recurrent networks)")
    dropout: float = field(0.1, "dropout between layers and after them", minimum=0, maximum=0.9)
    variational: bool = field(True, "one dropout mask for all tokens of a step")
    baselines: bool = field(True, "score n-gram models too", resume=False)

    prompt: str | None = field(
        None, "text that the trained model continues", resume=False, group="use"
    )
    length: int = field(500, "characters of the continuation", minimum=1, resume=False, group="use")
    temperature: float = field(
        0.8, "below 1: likelier text; 0: the likeliest token each time", minimum=0, maximum=100,
        resume=False, group="use",
    )  # fmt: skip
    top_k: int = field(
        0, "draw among so many likeliest tokens; 0: all", minimum=0, resume=False, group="use"
    )
    top_p: float = field(
        1.0, "draw among the likeliest tokens of this probability", minimum=0.001, maximum=1,
        resume=False, group="use",
    )  # fmt: skip
    score: str = field("", "text file to score line by line", path=True, resume=False, group="use")

    def __post_init__(self):
        super().__post_init__()
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to train on")
        if self.model == "transformer" and self.features % (2 * self.heads):
            raise ValueError(
                f"features={self.features} must be a multiple of twice heads={self.heads}"
            )

    def subject(self) -> str:
        """The text and the network, and the tokens where they are no characters."""
        kind = "" if self.tokens == "characters" else f"-{self.tokens}"
        return f"{super().subject()}-{self.model}{kind}"
