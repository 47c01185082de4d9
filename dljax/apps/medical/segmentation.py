"""Segmentation of medical images, of two and of three dimensions."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.apps.configs.medical_imaging import Config
from dljax.apps.medical import segmentation_analysis as analysis
from dljax.apps.medical import segmentation_prediction as prediction
from dljax.apps.medical.segmentation_analysis import Network
from dljax.cnn.medical import inference
from dljax.cnn.segmentation import losses, segmenter
from dljax.data import augment_pairs, augment_volumes, medical
from dljax.data.sources.medical.preparation import Preparation
from dljax.data.sources.medical.volume import Maps, Volume, VolumeSet
from dljax.data.sources.medical.volumes import load_volumes
from dljax.nn.unet import UNet, example_norm, volume_unet
from dljax.run import optimizer, session
from dljax.run.experiment import Experiment
from dljax.train.export import Serving
from dljax.train.loop import Run, Task
from dljax.train.parallel import place

PATCHES = {2: (128, 128), 3: (32, 32, 32)}
WIDTHS = {2: (16, 32, 64, 128), 3: (8, 24, 48)}


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    data = load_volumes(
        config.dataset,
        classes=config.class_names,
        validation=config.validation,
        strength=config.strength,
        table=config.patients,
        pattern=config.patient_pattern,
    )
    example, classes = data.parts["train"][0], len(data.classes)
    axes, channels = len(example.sides()), example.image.shape[-1]
    network = network_of(config, axes, classes)
    preparation = preparation_of(config, axes)
    ready = medical.ready(
        data,
        preparation,
        network.patch,
        config.batch_size,
        config.foreground,
        placement.batch_multiple,
    )
    return Experiment(
        name=config.name,
        dataset=ready.name,
        task=lambda config: make_task(config, network, channels, classes, data.maps),
        feed=ready.train,
        placement=placement,
        headline=("dice", *(f"dice_{name}" for name in data.classes[1:4]), "hd95", "loss"),
        data=ready.record,
        validation=ready.validation,
        choose_by="max:dice",
        use_best=True,
        test=ready.test,
        summarise=lambda sums: analysis.summarise(sums, data.classes),
        metadata={
            "kind": "segmentation",
            "classes": data.classes,
            "ids": data.ids,
            "channels": channels,
            "axes": axes,
            "orientation": example.orientation(),
        },
        notes=data.notes,
        baselines=(lambda: analysis.simple(data, preparation)) if config.baselines else None,
        analyze=lambda run, scores, simple: analysis.analyze(
            network, run, data.parts["test"], preparation, data.classes
        ),
    )


def network_of(config: Config, axes: int, classes: int) -> Network:
    """The U-Net of a Config for images of 2 or 3 axes.

    Raises ValueError for a patch of another number of axes, or that the network can't halve.
    """
    patch, widths = config.patch or PATCHES[axes], config.widths or WIDTHS[axes]
    multiple = 2 ** (len(widths) - 1)
    if len(patch) != axes or any(side % multiple for side in patch):
        raise ValueError(
            f"patch={','.join(map(str, patch))}: images of {axes} axes and a network of "
            f"{len(widths)} widths take {axes} multiples of {multiple}"
        )
    dtype = jnp.dtype(config.dtype)
    if axes == 3:
        model: nn.Module = volume_unet(classes, widths, dtype)
    else:
        model = UNet(classes, widths, norm=example_norm, dtype=dtype)
    return Network(model, tuple(patch), config.overlap, mirrored(config, axes))


def mirrored(config: Config, axes: int) -> tuple[int, ...]:
    """The axes of --mirror."""
    found = tuple(int(axis) for axis in config.mirror)
    if any(axis >= axes for axis in found):
        raise ValueError(f"mirror={config.mirror}: images of {axes} axes have 0 to {axes - 1}")
    return found


def preparation_of(config: Config, axes: int) -> Preparation:
    """How images are prepared; ValueError for a spacing of images that have none."""
    if config.spacing and axes != 3:
        raise ValueError("--spacing is of volumes: images have no millimetres")
    return Preparation(config.spacing, config.window)


def make_task(
    config: Config, network: Network, channels: int, classes: int, maps: Maps | None = None
) -> Task:
    """The Task of a Config: patches, mirrored and of jittered grey levels, or drawn from maps.

    What is drawn from maps is mirrored along all axes, since there are few of them.
    """
    axes = tuple(range(len(network.patch))) if maps else network.mirror
    parts = [augment_volumes.mirror(axes)] if axes else []
    if maps:
        parts.insert(0, maps.draw)
    elif config.jitter:
        parts.append(augment_volumes.jitter(config.jitter))
    return segmenter.task(
        network.model,
        optimizer.transformation(config),
        image_shape=(*network.patch, channels),
        classes=classes,
        augmentation=augment_pairs.chain(*parts) if parts else None,
        loss=losses.total(losses.cross_entropy(), losses.dice()),
    )


class Trained(NamedTuple):
    """A trained network: its Config, its Run, and what its images must be.

    run: States [seeds, ...]. ids: of the classes in files. step: of the checkpoint.
    """

    config: Config
    network: Network
    task: Task
    run: Run
    preparation: Preparation
    classes: tuple[str, ...]
    ids: tuple[int, ...]
    channels: int
    orientation: str
    step: int


def load(config: Config) -> Trained:
    """The trained network of the run in config.workdir: its best checkpoint."""
    config, metadata = session.saved(config)
    axes, channels = metadata["axes"], metadata["channels"]
    classes = tuple(metadata["classes"])
    network = network_of(config, axes, len(classes))
    task = make_task(config, network, channels, len(classes))
    run, step = session.restore(config, task, place("none"))
    return Trained(
        config,
        network,
        task,
        run,
        preparation_of(config, axes),
        classes,
        tuple(metadata["ids"]),
        channels,
        metadata["orientation"],
        step,
    )


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers a window with: for --predict, and to export."""
    return _serving(load(config))


def _serving(found: Trained) -> Serving:
    states = found.run.states.without_optimiser()
    metadata = {"step": found.step, "seeds": len(jax.tree.leaves(states)[0])}
    function = inference.answer(found.network.model, found.network.mirror)
    shape = (*found.network.patch, found.channels)
    return inference.serving(function, states, shape, found.classes, metadata)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Segments a volume, an image, a DICOM series, or all of a folder, by the run in the workdir.

    Writes a file of labels for each, of the same geometry, predictions.csv with the volume of each
    class in ml, and pictures, to workdir/predictions/. Returns the rows of the table.
    """
    found = load(config)
    return prediction.predict(
        _serving(found),
        path,
        found.config.workdir,
        preparation=found.preparation,
        overlap=found.network.overlap,
        ids=found.ids,
        orientation=found.orientation,
        draw=found.config.plots,
    )


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on the test part of another data set.

    Its classes must be the run's, in their order; the brain is degraded as config says, not as the
    run's was. See `session.evaluate`.
    """
    found = load(config)
    given = found.config
    data = load_volumes(
        dataset,
        classes=found.classes,
        strength=config.strength,
        table=config.patients,
        pattern=config.patient_pattern,
    )
    check(found, data)
    volumes = data.parts["test"]
    print(f"{dataset}: {len(volumes)} of the test part are scored", *data.notes, sep="\n")

    def measure(run: Run) -> dict[str, np.ndarray]:
        every = analysis.score_seeds(found.network, run, volumes, found.preparation, found.classes)
        return analysis.metrics(every, found.classes)

    return session.evaluate(
        given,
        found.task,
        medical.examples(volumes, found.preparation, found.network.patch),
        data=dataset,
        headline=("dice", "hd95", "loss"),
        summarise=lambda sums: analysis.summarise(sums, found.classes),
        measure=measure,
    )


def check(found: Trained, data: VolumeSet) -> None:
    """Refuses data of other classes, channels or orientation than a run's."""
    volume: Volume = data.parts["test"][0]
    for what, theirs, ours in (
        ("classes", data.classes, found.classes),
        ("channels", volume.image.shape[-1], found.channels),
        ("orientation", volume.orientation(), found.orientation),
    ):
        if theirs != ours:
            raise ValueError(f"{data.name} has the {what} {theirs}, the run was trained on {ours}")
