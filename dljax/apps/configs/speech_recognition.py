"""The flags of speech_recognition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig

EMBEDDED = "spoken_characters"


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of speech recognition; the defaults are tuned for strings of spoken characters."""

    name: ClassVar[str] = "speech_recognition"
    not_served: ClassVar[tuple[str, ...]] = ("data_dir",)

    dataset = override(
        EMBEDDED, help=f"{EMBEDDED}, or a folder or manifest of sound (docs/data_formats.md)"
    )
    steps = override(800)
    convolution = override("native")
    batch_size = override(32)
    learning_rate = override(3e-3)
    ema = override(0.99)
    clip_norm = override(5.0)
    weight_decay = override(0.02)

    rate: int = field(0, "sampling rate in Hz; 0: that of most recordings", minimum=0)
    join: tuple[int, ...] = field(
        (),
        "fewest,most single words of one speaker that are joined to strings; none: 3,7 for "
        f"{EMBEDDED}, else they stay single",
        minimum=1,
    )
    pause: float = field(0.25, "longest pause in a string, seconds", minimum=0, maximum=10)
    strings: int = field(300, "strings that are tested on", minimum=1)
    string_noise: tuple[float, ...] = field(
        (10.0, 30.0), "signal-to-noise ratios of those strings, dB, lowest,highest; none: clean"
    )
    units: str = field(
        "auto",
        "what a text is made of; auto: words where single words are joined, else characters",
        choices=("auto", "characters", "words"),
    )
    validation: float = field(
        0.1, "share of train held out to choose by, if the set has no such part",
        minimum=0.01, maximum=0.9,
    )  # fmt: skip
    test_speakers: tuple[str, ...] = field(
        (), "speakers to test on, and not to train on; none: the set's own test part"
    )
    validation_speakers: tuple[str, ...] = field(
        (), "speakers to choose by, and not to train on; none: a share of train"
    )
    seconds: float = field(
        0.0, "longest recording; of words what is longer is cut, of texts left out; 0: any",
        minimum=0,
    )  # fmt: skip

    length_groups: int = field(
        1,
        "programs for recordings of different lengths: more compile longer and then train faster",
        minimum=1,
        maximum=4,
    )

    mels: int = field(40, "filters of the log-mel spectrogram", minimum=8, maximum=256)
    mel_scale: str = field("htk", "their convention", choices=("htk", "slaney"))
    lowest: float = field(40.0, "lower end of their range, Hz", minimum=0)
    normalization: str = field(
        "auto",
        "of each filter over the utterance, over its past, or by the training set's; level: by the "
        "recording's own level, its weak parts cut; auto: level for single words, utterance for "
        "texts, running where not bidirectional",
        choices=("auto", "utterance", "level", "running", "fixed"),
    )
    channels: tuple[int, ...] = field((32, 32), "channels of the convolutions", minimum=1)
    strides: tuple[int, ...] = field(
        (2, 2), "their strides in time; of frames of 10 ms", minimum=1, maximum=3
    )
    cell: str = field("gru", "recurrent cell", choices=("gru", "lstm"))
    features: int = field(96, "units of a recurrent layer and direction", minimum=1)
    depth: int = field(1, "recurrent layers", minimum=1)
    bidirectional: bool = field(True, "layers in both directions; without, it can stream")
    dropout: float = field(0.2, "dropout", minimum=0, maximum=0.9)
    label_smoothing: float = field(
        0.1, "of single words: share of the target that is uniform", minimum=0, maximum=1
    )

    speed: tuple[float, ...] = field(
        (0.9, 1.1), "random speed, slowest,fastest; none: as it is", minimum=0.25, maximum=4
    )
    noise: tuple[float, ...] = field(
        (10.0, 40.0), "random noise: signal-to-noise ratio in dB, lowest,highest; none: no noise"
    )
    mask_filters: int = field(6, "widest band that SpecAugment hides, filters", minimum=0)
    mask_seconds: float = field(0.1, "longest stretch that it hides", minimum=0)

    lm_order: int = field(
        6, "order of the n-gram model of the training texts; 0: none", minimum=0, resume=False
    )
    beam: int = field(16, "prefixes kept in decoding; 0: best path", minimum=0, resume=False)
    baselines: bool = field(True, "score the simple method too", resume=False)

    predict: str = field(
        "", "recording or folder to recognise", path=True, resume=False, group="use"
    )
    stream: str = field(
        "", "recording to transcribe piece by piece", path=True, resume=False, group="use"
    )
    evaluate: str = field(
        "", "other data to score the trained model on: as dataset", path=True, resume=False,
        group="use",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        for name in ("join", "speed", "noise", "string_noise"):
            given = getattr(self, name)
            if given and (len(given) != 2 or given[0] > given[1]):
                raise ValueError(f"{name} is two numbers, the lower first, not {given}")
        if len(self.channels) != len(self.strides):
            raise ValueError(
                f"channels and strides are of the same layers: {self.channels}, {self.strides}"
            )
        if both := set(self.test_speakers) & set(self.validation_speakers):
            raise ValueError(f"{sorted(both)[0]} can't be tested on and chosen by at once")

    def subject(self) -> str:
        """The data set's name, and whether its words are joined."""
        joined = self.join and self.dataset != EMBEDDED
        return super().subject() + ("-strings" if joined else "")

    def joined(self) -> tuple[int, ...]:
        """Fewest and most words of a string; () for single recordings."""
        return self.join or ((3, 7) if self.dataset == EMBEDDED else ())
