"""The task of each method of transfer_learning: network, initial weights, learning rates."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import flax.linen as nn
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from dljax.apps.configs.transfer_learning import Config
from dljax.apps.transfer.source import BUILT_IN, Source
from dljax.apps.transfer.target import WEIGHTS, Target, feature_baselines
from dljax.cnn.classification import classifier, targets
from dljax.data import augment, feed
from dljax.data.sources.dataset import Arrays
from dljax.nn.penultimate import HEAD
from dljax.run import optimizer, session
from dljax.run.experiment import Experiment
from dljax.train import driver
from dljax.train.loop import Task
from dljax.train.parallel import place
from dljax.transfer import finetuning, linear_probe
from dljax.transfer.lora import Adapted

HEADLINE = ("accuracy", "loss")
EVALUATION_BATCH = 125
LEARNING_RATE = {"scratch": 3e-3, "probe": 1e-2, "full": 1e-4, "llrd": 2e-4, "lora": 1e-3}
BUILT_IN_RATE = 3e-3  # of fine-tuning a built-in source, which is small
PROBE_STEPS, PROBE_BATCH = 200, 256  # of the probe that a new head starts at


def network(config: Config, source: Source, classes: int) -> nn.Module | Adapted:
    """The network that a method trains: the source's with a new head, or adapters in it."""
    (method,) = config.method
    model = source.model.clone(classes=classes)
    if method == "scratch":
        return model
    if _resolved(config).batch_norm == "frozen" and hasattr(model, "norm"):
        model = model.clone(norm=finetuning.frozen(model.norm))
    return Adapted(model, config.rank, float(config.rank)) if method == "lora" else model


def _resolved(config: Config) -> Config:
    """The Config with its automatic values filled in: learning rate, BatchNorm, head."""
    (method,), built_in = config.method, config.source in BUILT_IN
    own = BUILT_IN_RATE if built_in and method != "probe" else LEARNING_RATE[method]
    norm, head = ("trained", "random") if built_in else ("frozen", "probe")
    return dataclasses.replace(
        config,
        learning_rate=config.learning_rate or own,
        batch_norm=norm if config.batch_norm == "auto" else config.batch_norm,
        head=head if config.head == "auto" else config.head,
    )


def make_task(
    config: Config, source: Source, classes: int, shape: tuple[int, ...], scale: float
) -> Task:
    """The Task of a method.

    shape: of an image [H, W, C]; for a probe, of a feature vector [D], which scale divides.
    """
    (method,) = config.method
    config = _resolved(config)
    settings = {"classes": classes, "label_smoothing": config.label_smoothing}
    if method == "probe":
        return classifier.task(
            linear_probe.Linear(classes),
            optimizer.transformation(config),
            image_shape=shape,
            normalize=lambda x: x / scale,
            **settings,
        )
    parts = [augment.random_crop(config.crop)] if config.crop else []
    parts += [augment.flip()] if config.flip else []
    model = network(config, source, classes)
    return classifier.task(
        model,
        _transformation(config, model, shape),
        image_shape=shape,
        normalize=source.normalize,
        augmentation=augment.chain(*parts) if parts else None,
        **settings,
    )


def _transformation(
    config: Config, model: nn.Module | Adapted, shape: tuple[int, ...]
) -> optax.GradientTransformation:
    """The optimiser with the layers' learning rates and the decay of the Config."""
    (method,) = config.method
    if method in ("scratch", "lora"):
        return optimizer.transformation(config)
    depths = finetuning.depths(model, finetuning.shapes(model, shape), shape)
    rates, decay = [], None
    if method == "llrd":
        rates.append(finetuning.layerwise_decay(depths, config.layer_decay))
    if config.unfreeze:
        rates.append(finetuning.gradual_unfreezing(depths, config.unfreeze))
    if config.l2_sp:
        decay = finetuning.l2_sp(config.l2_sp, config.weight_decay, finetuning.is_head)
    return optimizer.transformation(
        config, decay=decay, rates=optax.chain(*rates) if rates else None
    )


def init_args(config: Config, target: Target) -> tuple:
    """What the Task's init takes besides a key: the pretrained variables, for each seed."""
    (method,), source = config.method, target.source
    if method in ("scratch", "probe"):
        return ()
    plain = source.model.clone(classes=len(target.classes))
    like = finetuning.shapes(plain, target.shape)
    variables = finetuning.for_seeds(finetuning.backbone(source.variables, like), config.num_seeds)
    if _resolved(config).head == "probe":
        variables = _with_heads(variables, like, probe_heads(config, target))
    if method == "lora":
        variables = network(config, source, len(target.classes)).split(variables, {})
    return (variables,)


def _with_heads(variables: Any, like: Any, heads: Any) -> Any:
    """Variables [seeds, ...] with the probes' layers [seeds, ...] as heads."""
    flat, shapes = flatten_dict(variables), flatten_dict(like)
    for (name,), leaf in flatten_dict(heads[HEAD]).items():
        path = ("params", HEAD, name)
        flat[path] = leaf.reshape(len(leaf), *shapes[path].shape)
    return unflatten_dict(flat)


def probe_heads(config: Config, target: Target) -> Any:
    """Parameters [seeds, ...] of linear probes on the images of each seed, for plain features."""
    config = dataclasses.replace(
        config, method=("probe",), steps=PROBE_STEPS, batch_size=PROBE_BATCH, learning_rate=0.0
    )
    result = driver.train(
        _task(config, target),
        _feed(config, target),
        steps=config.steps,
        seeds=session.seeds(config),
        placement=place("none", num_seeds=config.num_seeds),
    )
    params = result.run.states.params
    kernel = params[HEAD]["kernel"] / target.scale
    return {HEAD: params[HEAD] | {"kernel": kernel}}


def _parts(config: Config, target: Target) -> dict[str, Arrays]:
    """The arrays of each part: images, or features for a probe."""
    parts = {"train": target.train, "validation": target.validation, "test": target.test}
    parts = {name: arrays for name, arrays in parts.items() if arrays}
    if config.method == ("probe",):
        return {n: x | {"image": target.features[n]} for n, x in parts.items()}
    return parts


def _feed(config: Config, target: Target) -> feed.Feed:
    (shots,) = config.shots
    size = min(config.batch_size, shots * len(target.classes))
    pick = partial(target.pick, shots)
    return feed.in_memory(_parts(config, target)["train"], size, pick)


def _task(config: Config, target: Target) -> Task:
    probes = config.method == ("probe",)
    shape = target.features["train"].shape[1:] if probes else target.shape
    scale = target.scale if probes else 1.0
    return make_task(config, target.source, len(target.classes), shape, scale)


def build(config: Config, target: Target) -> Experiment:
    """The run of one method and one number of shots, ready for `session.train`."""
    (method,), (shots,) = config.method, config.shots
    parts, source, record = _parts(config, target), target.source, target.record
    placement = session.placement(config, min(config.batch_size, shots * len(target.classes)))
    if method != "scratch":
        record = record.deriving(**{WEIGHTS: target.weights})
    if method == "probe":
        record = record.deriving(**{"scale of the features": target.scale})

    lengths = [len(parts[name]["label"]) for name in ("validation", "test") if name in parts]
    batch = feed.common_batch(EVALUATION_BATCH, *lengths)

    def examples(name: str) -> feed.Examples:
        return feed.examples(parts[name], batch, placement.batch_multiple)

    def baselines() -> dict[str, dict[str, float]]:
        found = feature_baselines(target, config, shots)
        return {name: {"accuracy": float(values.mean())} for name, values in found.items()}

    return Experiment(
        name=config.name,
        dataset=f"{target.name}, {shots} images of each class, {method} from {source.name}",
        task=lambda config: _task(config, target),
        feed=_feed(config, target),
        placement=placement,
        headline=HEADLINE,
        data=record,
        init_args=init_args(config, target),
        validation=examples("validation") if target.validation else None,
        choose_by="max:accuracy",
        test=examples("test"),
        summarise=targets.summarise,
        tables=partial(targets.tables, classes=target.classes),
        metadata={
            "classes": target.classes,
            "image_shape": target.shape,
            "mean": source.normalize.mean,
            "std": source.normalize.std,
            "levels": target.levels,
            "scale": target.scale if method == "probe" else 1.0,
            "features": parts["train"]["image"].shape[-1] if method == "probe" else None,
        },
        notes=target.notes,
        baselines=baselines if config.baselines else None,
    )
