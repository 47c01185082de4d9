"""Object detection with an anchor-free network on a backbone of one's choice."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax.apps.configs.object_detection import Config
from dljax.apps.detection import analysis, prediction
from dljax.apps.detection.training import (
    backbone_of,
    both_views,
    make_task,
    network,
    normalize_for,
    size_notes,
    strides,
    view_notes,
)
from dljax.cnn.detection import detector
from dljax.data import annotated
from dljax.data.annotated import BOX_FIELDS
from dljax.data.image_scaling import Normalize
from dljax.data.sources.image import Levels, written_levels
from dljax.data.sources.vision import BoxSource, Scoring, load_boxes, truth
from dljax.run import session
from dljax.run.experiment import Experiment, Outcome
from dljax.train.export import Field, Serving
from dljax.train.loop import Array, Run, Task, one_seed
from dljax.train.parallel import place
from dljax.train.supervised import State

HEADLINE = ("ap50", "ap", "ap50_binned", "loss")


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    size = config.size()
    found = load_boxes(config.dataset, size, config.fit, config.data_dir)
    data = annotated.load(
        found,
        config.batch_size,
        streaming=config.streaming,
        validation=config.validation,
        multiple=placement.batch_multiple,
        quiet=config.quiet,
    )
    nms_notes = analysis.without_validation(config) if data.validation is None else ()
    classes, shape = data.classes, (*size, 3)
    model = network(config, len(classes))
    normalize = normalize_for(config, data)
    trained = analysis.Network(
        model, strides(config), normalize, size, config.fit, both_views(config)
    )

    return Experiment(
        name=config.name,
        dataset=data.name,
        task=lambda config: make_task(config, model, normalize, shape),
        feed=data.train,
        placement=placement,
        headline=HEADLINE,
        data=data.record.deriving(
            mean=normalize.mean, std=normalize.std, **backbone_of(config).derived()
        ),
        init_args=backbone_of(config).start(config.num_seeds),
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
            "levels": getattr(data.sources["train"], "levels", None),
        },
        notes=(
            *data.notes,
            *view_notes(config),
            *size_notes(config, model.bins, truth(data.sources["train"])),
            *nms_notes,
        ),
        analyze=lambda run, metrics, baselines: analysis.analyze(config, trained, run, data),
    )


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


class Trained(NamedTuple):
    """A trained detector: its network, the States of its seeds, and how it is used.

    config: of its run. run: States [seeds, ...]. chosen: what validation has chosen. category_ids:
    of the classes, in COCO results. step: of the checkpoint. levels: as of image_classification.
    """

    config: Config
    network: analysis.Network
    task: Task
    run: Run
    classes: tuple[str, ...]
    category_ids: tuple[int | str, ...]
    chosen: analysis.Chosen
    step: int
    levels: Levels | None


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
    trained = analysis.Network(
        model, strides(config), normalize, shape[:2], config.fit, both_views(config)
    )
    chosen = analysis.Chosen(**metadata["chosen"]) if "chosen" in metadata else analysis.UNCHOSEN
    ids = tuple(metadata["category_ids"])
    levels = written_levels(metadata)
    return Trained(config, trained, task, run, classes, ids, chosen, step, levels)


def serving(config: Config) -> Serving:
    """What the run in config.workdir finds in an image: for --predict, and to export.

    By the seed that is best in validation, of the best checkpoint.
    """
    return _serving(load(config.workdir))


def _serving(found: Trained) -> Serving:
    network, chosen = found.network, found.chosen
    detect = network.detect()

    def function(state: State, inputs: dict[str, Array]) -> dict[str, Array]:
        answer = detect(state, inputs["image"], jnp.asarray([chosen.threshold]))
        return {name: x[0] for name, x in answer._asdict().items()}

    weights = one_seed(found.run.states.without_optimiser(), chosen.seed)
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
    """Detects objects in an image, a film or a folder of these with the run in config.workdir.

    Writes detections.json (COCO results), predictions.csv and, for the first images, pictures to
    workdir/predictions/. Returns a dict for each detection whose score is high enough: file, frame,
    seconds, label, score, x, y, width, height.
    """
    found = load(config.workdir)
    return prediction.predict(
        _serving(found),
        path,
        config.workdir,
        fit=found.config.fit,
        levels=found.levels,
        least=config.score or found.chosen.score,
        draw=config.plots,
    )


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on the annotated images of another data set.

    Its test part counts, else all of it, with the classes and grey levels of the run; see
    `Scoring` and `session.evaluate`. Raises ValueError for a class that the run does not know.
    """
    found = load(config.workdir)
    data_dir = config.data_dir or found.config.data_dir
    data = load_boxes(
        dataset, found.network.size, found.config.fit, data_dir, Scoring(found.levels)
    )
    source = _with_classes(data.test, found.classes, dataset)
    print("\n".join([*data.notes, f"{dataset}: {len(source)} images are scored"]))
    streaming = config.streaming or found.config.streaming
    examples = annotated.evaluation_examples(source, BOX_FIELDS, streaming)
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
        if tuple(source.classes) != classes:
            raise ValueError(
                f"{dataset} has the classes {', '.join(source.classes)}, not exactly those of the "
                f"run: {', '.join(classes)}"
            )
        return source
    return BoxSource(source.items, classes, source.most, source.size, source.fit, source.levels)


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
