"""The flags of transfer_learning."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import field

METHODS = ("scratch", "probe", "full", "lwlr", "lora")


@dataclass(frozen=True, kw_only=True)
class Config(OptimizerConfig):
    """The flags of transfer learning; the defaults compare three methods on digits."""

    workdir: str = field("runs/transfer_learning", "folder of the run", path=True, resume=False)
    dataset: str = field(
        "digits", "digits, letters, tfds:NAME, a folder, or a MedMNIST .npz", path=True
    )
    source: str = field(
        "letters",
        "what is pretrained: a workdir of image_classification, the name of a package's weights, a "
        "file, hf:REPOSITORY; or trained here: on printed letters, or (first_half) on the first "
        "half of the target's classes, to be adapted to the others",
        path=True,
    )
    architecture: str = field(
        "", "of the source, where a file of weights does not tell (resnet18, ...)"
    )
    method: tuple[str, ...] = field(
        ("scratch", "probe", "full"),
        "what is trained: all from random weights, the last layer on frozen features, all, all at "
        "layer-wise rates, low-rank adapters; none: nothing, to use the source as it is",
        choices=(*METHODS, "none"),
    )
    shots: tuple[int, ...] = field((1, 2, 5, 10, 20), "labelled images of each class", minimum=1)
    num_seeds: int = field(5, "seeds trained in one program", minimum=1)
    steps: int = field(100, "training steps", minimum=1)
    batch_size: int = field(32, "examples in a step; at most all labelled ones", minimum=1)
    learning_rate: float = field(
        0.0, "highest learning rate of the schedule; 0: the method's own", minimum=0
    )

    image_size: int = field(0, "height and width of the images; 0: as in pretraining", minimum=0)
    channels: int = field(
        0, "of the images (1 or 3), the first layer is fitted; 0: as in pretraining",
        choices=(0, 1, 3),
    )  # fmt: skip
    batch_norm: str = field(
        "auto",
        "statistics of pretrained BatchNorms in training; auto: trained for a source "
        "that was trained here",
        choices=("auto", "frozen", "trained"),
    )
    head: str = field(
        "auto", "the new last layer starts at a linear probe, or at random; auto: at random for "
        "a source that was trained here", choices=("auto", "probe", "random"),
    )  # fmt: skip
    layer_decay: float = field(
        0.7, "lwlr: learning rate of a layer over that of the next", minimum=0, maximum=1
    )
    unfreeze: int = field(
        0, "steps after which one more layer learns, the last one first; 0: all at once", minimum=0
    )
    l2_sp: float = field(0.0, "pull to the pretrained weights, in place of weight decay", minimum=0)
    rank: int = field(4, "lora: of the adapters", minimum=1)
    crop: int = field(0, "random crop: pixels of padding", minimum=0)
    flip: bool = field(False, "random mirror images")
    label_smoothing: float = field(0.0, "share of the target that is uniform", minimum=0, maximum=1)
    validation: int = field(
        0, "images of each class, labelled too, to watch and choose by; 0: none", minimum=0
    )
    test_images: int = field(0, "test images, a fixed choice; 0: all", minimum=0)
    baselines: bool = field(True, "score scikit-learn's simple methods too", resume=False)
    features: str = field(
        "", "file.npz to write the features to, of the data set or of --predict", path=True,
        resume=False,
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.sweep:
            raise ValueError("sweep is not offered here: make a run for each value")
        if not self.method or not self.shots:
            raise ValueError("method and shots need a value each, or several")
        if "none" in self.method and not (self.predict or self.features):
            raise ValueError("method=none trains nothing: it goes with --predict or --features")
