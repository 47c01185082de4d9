"""Semantic segmentation of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from dljax.apps import backbones
from dljax.apps.backbones import Backbone
from dljax.apps.configs.image_segmentation import Config
from dljax.cnn.segmentation import (
    baselines,
    inspection,
    losses,
    segmentation_metrics,
    segmenter,
)
from dljax.cnn.segmentation.segmenter import Views
from dljax.data import annotated, augment, augment_pairs, feed
from dljax.data.annotated import AnnotatedImages
from dljax.data.image_scaling import Normalize, normalization
from dljax.data.sources import Levels, read_images
from dljax.data.sources.image import written_levels
from dljax.data.sources.vision import load_masks
from dljax.data.sources.vision.letterbox import nearest
from dljax.nn.encoder_decoder import EncoderDecoder
from dljax.nn.unet import UNet
from dljax.plots import masks
from dljax.run import optimizer, session
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.train import export, metrics
from dljax.train.export import Serving
from dljax.train.files import write_csv
from dljax.train.loop import Run, Task
from dljax.train.parallel import place
from dljax.train.supervised import State

HEADLINE = ("miou", "pixel_accuracy", "loss")
MEMBRANE = ("membrane", "cell")  # classes of which V_rand is computed
PICTURES = 20  # of predictions drawn, at most


class Trained(NamedTuple):
    """A trained network: its Config, the States of its seeds, and what its images must be."""

    config: Config
    model: nn.Module
    task: Task
    states: State
    normalize: Normalize
    classes: tuple[str, ...]
    palette: np.ndarray
    image_shape: tuple[int, int, int]
    step: int
    levels: Levels | None


def network(config: Config, classes: int, backbone: Backbone | None) -> nn.Module:
    """The Flax module that --model and --widths name."""
    dtype = jnp.dtype(config.dtype)
    if backbone is None:
        return UNet(classes, config.widths, dtype=dtype)
    return EncoderDecoder(
        classes, backbone.module, config.widths[::-1], aspp=config.aspp, dtype=dtype
    )


def backbone_of(config: Config, weights: bool = True) -> Backbone | None:
    """The backbone of a Config; None for a U-Net, which has its own way down."""
    if config.model == "unet":
        return None
    return backbones.load(config.model, weights and config.pretrained)


def make_task(
    config: Config,
    model: nn.Module,
    normalize: Normalize,
    classes: int,
    shape: tuple[int, int, int],
    frequencies: np.ndarray | None = None,
    rates: bool = False,
) -> Task:
    """The Task of a Config: its optimiser, augmentation and loss around `model`.

    frequencies: of the classes in the training masks, where the loss is weighted by them.
    """
    height, width = config.crop or shape[:2]
    parts = [augment_pairs.flip()] if config.flip else []
    if config.crop or config.scale not in ((), (1.0, 1.0)):
        parts.append(augment_pairs.crop((height, width), config.scale or (1.0, 1.0)))
    if config.dihedral:
        parts.append(augment_pairs.dihedral())
    if config.jitter:
        colour = augment.color_jitter(config.jitter, config.jitter, config.jitter)
        parts.append(augment_pairs.image_only(colour))
    return segmenter.task(
        model,
        optimizer.transformation(
            config, rates=backbones.rates(config.backbone_rate) if rates else None
        ),
        image_shape=(height, width, shape[2]),
        classes=classes,
        normalize=normalize,
        augmentation=augment_pairs.chain(*parts) if parts else None,
        loss=loss_of(config, frequencies),
        views=views_of(config),
    )


def loss_of(config: Config, frequencies: np.ndarray | None) -> losses.Loss:
    """The loss that --loss and --class_weights name."""
    weights = None
    if config.class_weights != "none" and frequencies is not None:
        rule = {"enet": losses.enet_weights, "median": losses.median_weights}
        weights = rule[config.class_weights](frequencies)
    entropy = losses.cross_entropy(weights, config.label_smoothing)
    return {
        "cross_entropy": entropy,
        "focal": losses.focal(weights=weights),
        "dice": losses.dice(),
        "cross_entropy_dice": losses.total(entropy, losses.dice()),
    }[config.loss]


def views_of(config: Config) -> Views:
    """How images are evaluated; a U-Net's are padded to what it can halve."""
    multiple = 2 ** (len(config.widths) - 1) if config.model == "unet" else 1
    return Views(config.flip, config.window, config.overlap, multiple)


def read(config: Config, batch_size: int, multiple: int) -> tuple[AnnotatedImages, np.ndarray]:
    """The data set of a Config, and the colours of its classes."""
    data = load_masks(config.dataset, config.image_size or None)
    colours = masks.palette(len(data.classes))
    if data.palette is not None:
        colours = np.array(data.palette, np.uint8)
    found = annotated.in_memory(
        data, batch_size, validation=config.validation, multiple=multiple, quiet=config.quiet
    )
    return found, colours


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    data, palette = read(config, config.batch_size, placement.batch_multiple)
    train, test = data.arrays["train"], data.arrays["test"]
    shape, classes = train["image"].shape[1:], data.classes
    if config.crop and (config.crop[0] > 4 * shape[0] or config.crop[1] > 4 * shape[1]):
        raise ValueError(f"crop={config.crop} is far larger than the images of {shape[:2]}")
    backbone = backbone_of(config)
    if backbone and backbone.normalize and shape[2] != 3:
        raise ValueError(f"{config.model} is pretrained on colour images, these have one channel")
    normalize = (backbone and backbone.normalize) or normalization(train["image"])
    model = network(config, len(classes), backbone)
    frequencies = losses.frequencies(train["mask"], len(classes))
    pretrained = bool(backbone and backbone.variables)
    views = views_of(config)

    def analyze(run: Run, scores: dict[str, np.ndarray], simple: dict[str, Any]) -> Analysis:
        del simple
        p = inspection.predicted(model, run.states, test["image"], normalize, views)
        findings: dict[str, Any] = {
            "iou": {name: metrics.describe(scores["iou"][:, i]) for i, name in enumerate(classes)},
            "ensemble": ensemble_scores(p, test["mask"], classes),
        }
        lines = [
            f"mean over seeds: mIoU {findings['ensemble']['miou']:.4f}, "
            f"boundary F1 {findings['ensemble']['boundary_f1']:.4f}"
        ]
        if classes == MEMBRANE:
            findings["membrane"] = membranes(p, test["mask"])
            lines += membrane_lines(findings["membrane"])

        def draw(folder: Path) -> None:
            inspection.examples(folder, p, test, classes)

        return Analysis(findings, tuple(lines), draw=draw)

    def simple() -> dict[str, dict[str, float]]:
        return baselines.baselines(train["mask"], test["mask"], len(classes))

    return Experiment(
        name=config.name,
        dataset=data.name,
        task=lambda config: make_task(
            config, model, normalize, len(classes), shape, frequencies, pretrained
        ),
        feed=data.train,
        placement=placement,
        headline=HEADLINE,
        data=data.record.deriving(
            mean=normalize.mean, std=normalize.std, **(backbone.derived() if backbone else {})
        ),
        init_args=backbone.start(config.num_seeds) if backbone else (),
        validation=data.validation,
        choose_by="max:miou",
        use_best=True,
        test=data.test,
        summarise=segmenter.summarise,
        metadata={
            "classes": classes,
            "palette": palette.tolist(),
            "image_shape": shape,
            "mean": normalize.mean,
            "std": normalize.std,
            "levels": getattr(data.sources["train"], "levels", None),
        },
        notes=data.notes,
        baselines=simple if config.baselines else None,
        draw=lambda run, sums, folder: inspection.draw(folder, sums, classes),
        analyze=analyze,
    )


def ensemble_scores(
    p: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> dict[str, float]:
    """Scores of probabilities [N, H, W, C], the mean over seeds."""
    guess = p.argmax(-1)
    counts = baselines.counts(guess, labels, len(classes))
    scores = segmentation_metrics.from_confusion(counts)
    found = {name: float(scores[name]) for name in ("miou", "pixel_accuracy", "mean_dice")}
    return found | {"boundary_f1": inspection.boundary_score(guess, labels, len(classes))}


def membranes(p: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """V_rand and the membrane's IoU, beside those of calling everything cell."""
    cell = MEMBRANE.index("cell")
    found = [
        segmentation_metrics.membrane_scores(q[..., cell], label == cell)
        for q, label in zip(p, labels, strict=True)
    ]
    plain = [
        segmentation_metrics.membrane_scores(np.ones(label.shape), label == cell, (0.5,))
        for label in labels
    ]
    scores = segmentation_metrics.from_confusion(baselines.counts(p.argmax(-1), labels, 2))
    return {
        "v_rand": float(np.mean([x["v_rand"] for x in found])),
        "v_rand_all_cell": float(np.mean([x["v_rand"] for x in plain])),
        "membrane_iou": float(scores["iou"][MEMBRANE.index("membrane")]),
        "all_cell_accuracy": float((labels == cell).mean()),
    }


def membrane_lines(found: dict[str, float]) -> list[str]:
    """The membrane's scores in words."""
    return [
        f"V_rand {found['v_rand']:.4f} (all cell {found['v_rand_all_cell']:.4f}), IoU of the "
        f"membrane {found['membrane_iou']:.4f}; calling every pixel cell has pixel accuracy "
        f"{found['all_cell_accuracy']:.4f}"
    ]


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build(config))


def load(workdir: str) -> Trained:
    """The trained network of a run: its best checkpoint, the newest if none was scored."""
    config, metadata = session.saved(Config(workdir=workdir))
    classes, shape = tuple(metadata["classes"]), tuple(metadata["image_shape"])
    normalize = Normalize(tuple(metadata["mean"]), tuple(metadata["std"]))
    backbone = backbone_of(config)
    model = network(config, len(classes), backbone)
    task = make_task(
        config, model, normalize, len(classes), shape, rates=bool(backbone and backbone.variables)
    )
    run, step = session.restore(config, task, place("none"))
    palette = np.array(metadata["palette"], np.uint8)
    levels = written_levels(metadata)
    return Trained(
        config, model, task, run.states, normalize, classes, palette, shape, step, levels
    )


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers an image with: for --predict, and to export."""
    found = load(config.workdir)
    function = inspection.answer(found.model, found.normalize, views_of(found.config))
    states = found.states.without_optimiser()
    metadata = {"step": found.step, "seeds": len(jax.tree.leaves(states)[0])}
    return inspection.serving(function, states, found.image_shape, found.classes, metadata)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Segments an image or a folder of images with the run in config.workdir.

    Images are resized to what the network was trained on, masks back. Writes a palette PNG of class
    ids for each, predictions.csv with the share of each class, and pictures. Returns its rows.
    """
    found = load(config.workdir)
    height, width, channels = found.image_shape
    images = read_images(path, (height, width), channels, levels=found.levels)
    for line in (*(f"skipped: {skipped}" for skipped in images.skipped), *images.notes):
        print(line)
    p = export.answers(serving(config), {"image": images.images})["probability"]
    guess = p.argmax(-1)
    folder = Path(config.workdir) / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(path) if Path(path).is_dir() else Path(path).parent
    rows = []
    for number, (name, mask) in enumerate(zip(images.names, guess, strict=True)):
        file = root / name if Path(path).is_dir() else Path(path)
        with Image.open(file) as picture:
            size = picture.size[::-1]
        stem = file.relative_to(root).with_suffix("").as_posix().replace("/", "_")
        save_palette(nearest(mask.astype(np.uint8), size), found.palette, folder / f"{stem}.png")
        share = np.bincount(mask.ravel(), minlength=len(found.classes)) / mask.size
        largest = int(share.argmax())
        rows.append(
            {"file": name, "mask": f"{stem}.png", "largest": found.classes[largest]}
            | {name: round(float(x), 6) for name, x in zip(found.classes, share, strict=True)}
        )
        print(f"{name}: {share[largest]:.1%} {found.classes[largest]}; {folder / stem}.png")
        if config.plots and number < PICTURES:
            picture = folder / f"{stem}_overlay.png"
            masks.overlay(images.images[number], mask, found.classes, picture)
    write_csv(folder / "predictions.csv", rows)
    print(f"checkpoint of step {found.step}; {folder}/predictions.csv")
    return rows


def save_palette(mask: np.ndarray, palette: np.ndarray, path: Path) -> None:
    """Writes class ids [H, W] as a PNG whose values are the ids, coloured by a palette."""
    picture = Image.fromarray(mask, mode="P")
    picture.putpalette(palette.ravel().tolist())
    picture.save(path)


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on the test part of another data set with masks.

    Its classes must be the run's, in their order. See `session.evaluate`.
    """
    found = load(config.workdir)
    height, width, channels = found.image_shape
    data = load_masks(dataset, (height, width), channels=channels)
    if data.classes != found.classes:
        raise ValueError(
            f"{dataset} has the classes {', '.join(data.classes)}, the run "
            f"{', '.join(found.classes)}"
        )
    arrays = data.test.arrays()
    return session.evaluate(
        found.config,
        found.task,
        feed.examples({k: arrays[k] for k in ("image", "mask")}, annotated.EVALUATION_BATCH),
        data=dataset,
        headline=HEADLINE,
        summarise=segmenter.summarise,
    )


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
