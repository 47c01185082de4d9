"""Object detection with an anchor-free network on a backbone of one's choice."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dljax.apps.configs.object_detection import Config
from dljax.apps.detection import analysis, prediction
from dljax.cnn.detection import detector, inference
from dljax.data import annotated, augment, augment_boxes, feed
from dljax.data.annotated import EVALUATION_BATCH
from dljax.data.image_scaling import Normalize, normalization
from dljax.data.sources.vision import BoxSource, load_boxes
from dljax.nn import efficientnet_lite, resnet
from dljax.nn.detection_head import Detector
from dljax.nn.encoder_decoder import ENCODER
from dljax.run import optimizer, session
from dljax.run.experiment import Experiment, Outcome
from dljax.train.export import Field, Serving
from dljax.train.loop import Array, Run, Task
from dljax.train.parallel import place
from dljax.train.supervised import State
from dljax.transfer import finetuning, pretrained

HEADLINE = ("ap50", "ap", "ap50_binned", "loss")
COARSEST = 32  # stride of the smallest map of a published backbone
SAMPLE = 256  # images of a streamed set that the normalisation is computed from


def network(config: Config, classes: int) -> Detector:
    """The Flax module that --model, --widths, --finest, --width and --depth name."""
    return Detector(
        classes,
        _backbone(config),
        levels=len(strides(config)),
        width=config.width,
        depth=config.depth,
        dtype=jnp.dtype(config.dtype),
    )


def _backbone(config: Config) -> partial:
    """The encoder: its maps have strides 2, 4, 8, 16 and so on."""
    if config.model == "efficientnet_lite0":
        return partial(efficientnet_lite.efficientnet_lite0, classes=1, pyramid=True)
    settings = {"classes": 1, "small_images": False, "pyramid": True}
    if config.model == "resnet18":
        return partial(resnet.resnet18, **settings)
    sizes = (1,) * len(config.widths)
    return partial(resnet.ResNet, stage_sizes=sizes, widths=config.widths, pool=False, **settings)


def strides(config: Config) -> tuple[int, ...]:
    """Of the maps that are searched, from the largest map on."""
    coarsest = 2 ** len(config.widths) if config.model == "small" else COARSEST
    return tuple(s for s in (4, 8, 16, 32, 64) if config.finest <= s <= coarsest)


def make_task(
    config: Config, model: nn.Module, normalize: Normalize, image_shape: tuple[int, int, int]
) -> Task:
    """The Task of a Config: its optimiser, augmentation and loss around `model`."""
    rates = None
    if _from_imagenet(config):
        rates = optax.masked(optax.scale(config.backbone_rate), _is_backbone)
    return detector.task(
        model,
        optimizer.transformation(config, rates=rates),
        image_shape=tuple(image_shape),
        strides=strides(config),
        normalize=normalize,
        augmentation=augmentation(config),
    )


def augmentation(config: Config) -> augment_boxes.Augment | None:
    """What --mosaic, --flip, --flip_down, --scale and --jitter ask for, of a batch."""
    parts = []
    if config.flip or config.flip_down:
        parts.append(augment_boxes.flip(0.5 * config.flip, 0.5 * config.flip_down))
    if config.scale != (1.0, 1.0):
        parts.append(augment_boxes.crop(config.scale))
    if config.jitter:
        colours = augment.color_jitter(config.jitter, config.jitter, config.jitter)
        parts.append(augment_boxes.image_only(colours))
    steps = [augment_boxes.mosaic(config.mosaic)] if config.mosaic else []
    steps += [augment_boxes.batch(augment_boxes.chain(*parts))] if parts else []
    return augment_boxes.chain(*steps) if steps else None


def _from_imagenet(config: Config) -> bool:
    return config.pretrained and config.model == "efficientnet_lite0"


def _is_backbone(params: Any) -> Any:
    """True for the parameters of the backbone."""
    return jax.tree.map_with_path(lambda path, _: path[0].key == ENCODER, params)


def start(config: Config, model: nn.Module, image_shape: tuple[int, int, int]) -> Any:
    """ImageNet's weights and BatchNorm statistics of the backbone, as a part of the variables."""
    blank = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    wanted = jax.eval_shape(partial(model.init, train=False), jax.random.key(0), blank)
    found = pretrained.load(config.model).variables
    encoder = {kind: _common(found[kind], part[ENCODER]) for kind, part in wanted.items()}
    return {kind: {ENCODER: part} for kind, part in encoder.items()}


def _common(variables: Any, wanted: Any) -> Any:
    """The variables of modules that the network has (not those of the classifier's head)."""
    return {name: variables[name] for name in wanted}


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    size = config.size()
    settings = {"validation": config.validation, "multiple": placement.batch_multiple}
    found = load_boxes(config.dataset, size, config.fit)
    if config.streaming:
        data = annotated.streamed(found, config.batch_size, **settings)
        source = data.sources["train"]
        chosen = np.unique(np.linspace(0, len(source) - 1, SAMPLE).astype(int))
        images = np.stack([source[int(i)]["image"] for i in chosen])
    else:
        data = annotated.in_memory(found, config.batch_size, quiet=config.quiet, **settings)
        images = data.arrays["train"]["image"]
    classes, shape = data.classes, (*size, 3)
    model = network(config, len(classes))
    normalize, init_args = normalization(images), ()
    if _from_imagenet(config):
        expected = pretrained.load(config.model).input
        normalize = Normalize(tuple(expected.mean), tuple(expected.std))
        init_args = (finetuning.for_seeds(start(config, model, shape), config.num_seeds),)
    trained = analysis.Network(model, strides(config), normalize, size, config.fit)

    return Experiment(
        name=config.name,
        dataset=data.name,
        task=lambda config: make_task(config, model, normalize, shape),
        feed=data.train,
        placement=placement,
        headline=HEADLINE,
        data=data.record.deriving(mean=normalize.mean, std=normalize.std),
        init_args=init_args,
        validation=data.validation,
        choose_by="max:ap50_binned",
        use_best=True,
        test=data.test,
        summarise=detector.summarise,
        metadata={
            "classes": classes,
            "category_ids": found.category_ids or tuple(range(1, len(classes) + 1)),
            "image_shape": shape,
            "mean": normalize.mean,
            "std": normalize.std,
        },
        notes=data.notes,
        analyze=lambda run, metrics, baselines: analysis.analyze(config, trained, run, data),
    )


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build(config))


class Trained(NamedTuple):
    """A trained detector: its network, the States of its seeds, and how it is used.

    config: of its run. run: States [seeds, ...]. chosen: what validation has chosen. category_ids:
    of the classes, in COCO results. step: of the checkpoint.
    """

    config: Config
    network: analysis.Network
    task: Task
    run: Run
    classes: tuple[str, ...]
    category_ids: tuple[int | str, ...]
    chosen: analysis.Chosen
    step: int


def load(workdir: str) -> Trained:
    """The trained detector of a run: its best checkpoint, the newest if none was scored.

    Raises FileNotFoundError or ValueError, in one line, where there is none.
    """
    config, metadata = session.saved(Config(workdir=workdir))
    classes, shape = tuple(metadata["classes"]), tuple(metadata["image_shape"])
    normalize = Normalize(tuple(metadata["mean"]), tuple(metadata["std"]))
    model = network(config, len(classes))
    task = make_task(config, model, normalize, shape)
    run, step = session.restore(config, task, place("none"))
    trained = analysis.Network(model, strides(config), normalize, shape[:2], config.fit)
    chosen = analysis.Chosen(**metadata["chosen"]) if "chosen" in metadata else analysis.UNCHOSEN
    ids = tuple(metadata["category_ids"])
    return Trained(config, trained, task, run, classes, ids, chosen, step)


def serving(config: Config) -> Serving:
    """What the run in config.workdir finds in an image: for --predict, and to export.

    By the seed that is best in validation, of the best checkpoint.
    """
    return _serving(load(config.workdir))


def _serving(found: Trained) -> Serving:
    network, chosen = found.network, found.chosen
    detect = inference.detect(network.model, network.strides, network.normalize)

    def function(state: State, inputs: dict[str, Array]) -> dict[str, Array]:
        answer = detect(state, inputs["image"], jnp.asarray([chosen.threshold]))
        return {name: x[0] for name, x in answer._asdict().items()}

    weights = inference.one_seed(found.run.states.without_optimiser(), chosen.seed)
    image = jax.ShapeDtypeStruct((1, *network.size, 3), np.uint8)
    most = jax.eval_shape(function, weights, {"image": image})["labels"].shape[1]
    fitted = "RGB pixels, rows from the top"
    if found.config.fit != "stretch":
        fitted += "; the aspect kept, in the upper left corner, grey (114) beside it"
    return Serving(
        function,
        weights,
        {"image": Field((*network.size, 3), "uint8", 0, 255, about=fitted)},
        {
            "boxes": Field((most, 4), names=("x1", "y1", "x2", "y2"), about="pixels, best first"),
            "labels": Field((most,), "int32", about="index into classes, -1 beyond the last"),
            "scores": Field((most,), about="0 to 1; 0 beyond the last"),
        },
        {
            "step": found.step,
            "seed": chosen.seed,
            "classes": found.classes,
            "category_ids": found.category_ids,
            "score": chosen.score,
        },
    )


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Detects objects in an image or a folder of images with the run in config.workdir.

    Writes detections.json (COCO results), predictions.csv and, for the first images, pictures to
    workdir/predictions/. Returns a dict for each detection whose score is high enough: file, label,
    score, x, y, width, height.
    """
    found = load(config.workdir)
    return prediction.predict(
        _serving(found),
        path,
        config.workdir,
        fit=found.config.fit,
        least=config.score or found.chosen.score,
        draw=config.plots,
    )


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on the annotated images of another data set.

    Its test part counts, with the classes of the run; see `session.evaluate`. Raises ValueError for
    a class that the run does not know.
    """
    found = load(config.workdir)
    source = _with_classes(
        load_boxes(dataset, found.network.size, found.config.fit).test, found.classes, dataset
    )
    arrays = source.arrays()
    examples = feed.examples({n: arrays[n] for n in annotated.BOX_FIELDS}, EVALUATION_BATCH)
    return session.evaluate(
        found.config,
        found.task,
        examples,
        data=dataset,
        headline=HEADLINE,
        summarise=detector.summarise,
        measure=lambda run: analysis.measure(
            found.network, run, examples, source, found.chosen.threshold, len(found.classes)
        ),
    )


def _with_classes(source: Any, classes: tuple[str, ...], dataset: str) -> Any:
    """The source with the labels of a run's classes."""
    unknown = [name for name in source.classes if name not in classes]
    if unknown:
        raise ValueError(
            f"{dataset} has the class {unknown[0]!r}, which the run does not know: "
            f"{', '.join(classes)}"
        )
    if not isinstance(source, BoxSource):
        return source
    return BoxSource(source.items, classes, source.most, source.size, source.fit)


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
