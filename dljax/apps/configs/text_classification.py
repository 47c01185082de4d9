"""The flags of text_classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig

MODELS = ("gru", "lstm", "rnn", "mingru")
TOKENS = ("characters", "bytes", "bpe")


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of text classification."""

    name: ClassVar[str] = "text_classification"
    not_served: ClassVar[tuple[str, ...]] = ("data_dir",)

    dataset = override("kjv_books", help="kjv_books, a .csv or .tsv, or a folder per class")
    steps = override(1500)
    batch_size = override(64)
    learning_rate = override(3e-3)
    clip_norm = override(1.0)

    text_column: str = field("text", "column of a table that holds the text")
    label_column: str = field("label", "column of a table that holds the class")
    test: float = field(
        0.2, "share to test on, where there is no test part", minimum=0.01, maximum=0.9
    )
    validation: float = field(
        0.1, "share of the training texts held out to choose by", minimum=0, maximum=0.9
    )
    tokens: str = field("characters", "what is read", choices=TOKENS)
    vocabulary: int = field(2048, "tokens of bpe", minimum=258, maximum=65536)
    longest: int = field(400, "tokens that are read of a text; the rest is cut off", minimum=2)

    model: str = field("gru", "kind of layer", choices=MODELS)
    features: int = field(128, "units of a layer in each direction", minimum=2)
    depth: int = field(1, "layers", minimum=1)
    embedding: int = field(0, "width of the embeddings; 0: one-hot", minimum=0)
    bidirectional: bool = field(True, "read in both directions")
    dropout: float = field(0.3, "dropout between layers and after them", minimum=0, maximum=0.9)
    baselines: bool = field(True, "score simple methods too", resume=False)

    calibrate: bool = field(
        True,
        "divide logits by the temperature that fits the validation part best",
        resume=False,
        group="use",
    )
    predict: str = field(
        "", "text file, or table with the column of texts, to classify", path=True, resume=False,
        group="use",
    )  # fmt: skip
    evaluate: str = field(
        "", "labelled texts to score the trained model on: as dataset", path=True, resume=False,
        group="use",
    )  # fmt: skip

    def subject(self) -> str:
        """The texts and the kind of layer."""
        return f"{super().subject()}-{self.model}"
