"""A driver that learns from recorded drives: data, network, Task, scores in open loop, use."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.apps.configs.autonomous_driving import SIMULATION, Config
from dljax.apps.driving import prediction, recording_analysis
from dljax.cnn.driving import augmentation, networks, open_loop, recorded
from dljax.cnn.driving.target import Target, target_of
from dljax.data import augment, drives, feed
from dljax.data.drives import Shares, Stretch
from dljax.data.feed import Examples
from dljax.data.images import EVALUATION_BATCH
from dljax.data.sources.driving import KINDS, Drives, frames, load_drives
from dljax.data.sources.driving.frames import Framing
from dljax.run import optimizer, session
from dljax.run.experiment import Experiment
from dljax.train.export import Serving
from dljax.train.loop import Run, Task
from dljax.train.parallel import place
from dljax.train.supervised import State

HEADLINE = ("mae_degrees", "rmse_degrees", "turning_mae_degrees", "skill")
BEYOND = 1.01  # a steering that is no share of the most any more


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for recordings that can't be used.
    """
    if not Path(config.dataset).expanduser().exists():
        raise FileNotFoundError(
            f"There is no file or folder {config.dataset}: --dataset takes {SIMULATION}, or "
            f"recordings: {KINDS}"
        )
    if config.model not in networks.LAYERS:
        raise ValueError(
            f"--model={config.model} follows drives of the simulator; recordings are learnt "
            f"picture by picture: give --model={' or --model='.join(networks.LAYERS)}"
        )
    placement = session.placement(config)
    framing = framing_of(config)
    found = load_drives(config.dataset)
    check_unit(found, config.max_steer_degrees)
    shares = Shares(config.validation, config.test, config.gap)
    recordings, notes = drives.split(found.parts, shares)
    parts = {
        part: drives.stretch(x, framing, config.max_steer_degrees)
        for part, x in recordings.items()
    }  # fmt: skip
    sides = drives.side_cameras(recordings["train"], framing) if config.camera_correction else {}
    sign = 1 if config.positive == "right" else -1
    train = drives.examples(
        parts["train"], sides, sign * config.camera_correction, config.balance, config.smooth
    )
    target = target_of(train["angle"], config.bins)
    size = frames.picture_size(parts["train"].files[0])
    record = drives.record(parts, recordings, open_loop.STRAIGHT)
    test, held = parts["test"], parts.get("validation")

    batch = feed.common_batch(
        max(config.batch_size, EVALUATION_BATCH), len(test.angle), len(held.angle) if held else 0
    )

    def examples(part: Stretch) -> Examples:
        arrays = {"image": part.image, "angle": part.angle}
        return feed.examples(arrays, batch, placement.batch_multiple)

    def simple() -> dict[str, np.ndarray]:
        return open_loop.simple_methods(parts["train"].angle, test.angle, test.drive)

    counts = ", ".join(f"{len(x.angle)} {part}" for part, x in parts.items())
    return Experiment(
        name=config.name,
        dataset=f"{config.dataset} ({counts} stamps; {len(train['angle'])} training pictures)",
        task=lambda config: make_task(config, target),
        feed=feed.in_memory(train, config.batch_size),
        placement=placement,
        headline=HEADLINE,
        data=record.deriving(scale=target.scale),
        validation=held and examples(held),
        use_best=True,
        test=examples(test),
        summarise=recorded.summarise,
        metadata={
            "scale": target.scale,
            "centres": target.centres,
            "picture_size": size,
        },
        notes=(*found.notes, *notes, *smoothing(config)),
        baselines=(
            lambda: {
                name: dict(open_loop.headline(open_loop.scores(x, test.angle)))
                for name, x in simple().items()
            }
        )
        if config.baselines
        else None,
        analyze=recording_analysis.analyze(
            network(config, target), target, parts, train, simple(), config.positive
        ),
    )


def check_unit(found: Drives, max_steer_degrees: float) -> None:
    """Raises ValueError for steering beyond 1 where 1 is the most that wheels turn."""
    if max_steer_degrees in (1.0, *(round(float(np.rad2deg(1)), x) for x in (1, 2, 3, 4))):
        return  # a log in degrees or radians
    for recording in (x for part in found.parts.values() for x in part):
        row = int(np.abs(recording.steering).argmax())
        if abs(recording.steering[row]) > BEYOND:
            raise ValueError(
                f"{recording.log}, line {recording.lines[row]}: a steering of "
                f"{recording.steering[row]:g} is beyond 1: give --max_steer_degrees=1 for a log in "
                "degrees, 57.3 for one in radians"
            )


def smoothing(config: Config) -> tuple[str, ...]:
    """A note on what is learnt where it is not what the log says."""
    if config.smooth < 2:
        return ()
    return (
        f"the angles to learn are averaged over {config.smooth} stamps, those to score are not",
    )


def framing_of(config: Config) -> Framing:
    """How pictures are cut and resized."""
    return Framing(config.crop_top, config.crop_bottom, config.frame_height, config.frame_width)


def network(config: Config, target: Target) -> nn.Module:
    """The Flax module that --model names."""
    return networks.SteeringNet(
        networks.LAYERS[config.model],
        dtype=jnp.dtype(config.dtype),
        outputs=len(target.centres),
        dropout=config.dropout,
    )


def make_task(config: Config, target: Target) -> Task:
    """The Task of a Config: its network, optimiser, augmentation and loss."""
    sign = 1 if config.positive == "right" else -1
    parts = []
    if config.mirror:
        parts.append(augmentation.mirror())
    if config.shift:
        parts.append(augmentation.shift(config.shift, sign * config.shift_correction))
    if config.shadow < 1:
        parts.append(augmentation.shadow(config.shadow))
    if config.brightness:
        jitter = augment.color_jitter(config.brightness, config.brightness)
        parts.append(augmentation.alone(jitter))
    return recorded.task(
        network(config, target),
        optimizer.transformation(config),
        target,
        (config.frame_height, config.frame_width, 3),
        augmentation.chain(*parts) if parts else None,
    )


class Trained(NamedTuple):
    """A trained driver: its network, the States of its seeds, and how its pictures are made.

    picture_size: (height, width) of the pictures that it was trained on. step: of the checkpoint.
    """

    config: Config
    model: nn.Module
    target: Target
    states: State
    picture_size: tuple[int, int]
    step: int


def load(config: Config) -> Trained:
    """The trained driver in config.workdir: its best checkpoint, else the newest."""
    config, metadata = session.saved(config)
    target = Target(metadata["scale"], tuple(metadata["centres"]))
    run, step = session.restore(config, make_task(config, target), place("none"))
    size = tuple(metadata["picture_size"])
    return Trained(config, network(config, target), target, run.states, size, step)


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on other recordings: their test part if they have one, else
    all of them. See `session.evaluate`."""
    found = load(config)
    data = load_drives(dataset)
    check_unit(data, found.config.max_steer_degrees)
    part = drives.stretch(
        data.parts.get("test") or data.parts["train"],
        framing_of(found.config),
        found.config.max_steer_degrees,
    )

    def measure(run: Run) -> dict[str, np.ndarray]:
        each = recording_analysis.predictions(found.model, found.target, run.states, part.image)
        review = recording_analysis.review(part, each)
        print("\n".join(recording_analysis.lines(review)))
        return review.of_seeds

    return session.evaluate(
        found.config,
        make_task(found.config, found.target),
        feed.examples({"image": part.image, "angle": part.angle}, EVALUATION_BATCH),
        data=dataset,
        headline=HEADLINE,
        summarise=recorded.summarise,
        measure=measure,
    )


def serving(config: Config) -> Serving:
    """What the run in config.workdir steers at whole pictures, cut and resized within: to export.

    By the best checkpoint (the newest if none was scored), the mean over its seeds.
    """
    found = load(config)
    return prediction.serving(
        found.model,
        found.target,
        found.states.without_optimiser(),
        framing_of(found.config),
        found.picture_size,
        {"step": found.step, "positive": found.config.positive},
    )


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Steers at a picture or each of a folder with the run in config.workdir.

    Writes predictions.csv and pictures to workdir/predictions/. Returns the rows: file, degrees,
    steering in the log's unit.
    """
    found = load(config)
    states = found.states.without_optimiser()

    return prediction.predict(
        path,
        jax.jit(
            lambda x: {"degrees": recorded.answer(found.model, found.target, states, x).mean(0)}
        ),
        framing_of(found.config),
        found.config.max_steer_degrees,
        found.config.positive,
        Path(config.workdir),
        config.plots,
        found.step,
    )
