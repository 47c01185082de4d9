"""Generative adversarial networks of short clips, scored and looked at."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from dljax.apps.configs.video_gan import Config
from dljax.data import feed
from dljax.data.sources import load_images
from dljax.data.sources.clips import clip_folder, moving_images
from dljax.gan import adversarial, image_plots, sampling, video, video_plots
from dljax.gan.dcgan import DCGANDiscriminator, DCGANGenerator
from dljax.gan.eval_metrics import summarise
from dljax.gan.losses import LOSSES
from dljax.gan.video import Latent
from dljax.plots import samples
from dljax.run import session, sweep
from dljax.run.session import Conclusion, Experiment, Outcome
from dljax.train import optim
from dljax.train.parallel import place

SCORED = 2**20  # number of the first sample that is scored; those shown begin at 0
WATCHED = 500  # clips of an evaluation while training


def networks(config: Config, channels: int) -> tuple[Any, Any]:
    """The generator and the discriminator of a Config."""
    dtype = jnp.dtype(config.dtype)
    common = {"size": config.size, "hidden": config.hidden, "dtype": dtype}
    generator = video.ClipGenerator(
        config.frames,
        partial(DCGANGenerator, config.size, channels, config.width, dtype=dtype),
        latent(config),
        dtype=dtype,
    )
    discriminator = video.ClipDiscriminator(
        config.frames,
        partial(DCGANDiscriminator, width=config.clip_width, **common),
        partial(video.Identity, width=config.frame_width, **common),
        partial(DCGANDiscriminator, width=config.frame_width, **common),
    )
    return generator, discriminator


def latent(config: Config) -> Any:
    """How the z of a Config is cut."""
    return Latent(config.content, config.motion, config.noise)


def make_task(config: Config, channels: int, features: Any = None) -> Any:
    """The Task of a Config. features: streams the scores of evaluations (adversarial.task)."""
    schedule = optim.schedule(config.schedule, config.learning_rate, config.steps)
    return adversarial.task(
        *networks(config, channels),
        adversarial.adam(schedule, config.beta1, config.beta2, config.ema),
        adversarial.adam(schedule, config.beta1, config.beta2),
        LOSSES[config.loss],
        latent=latent(config).length(config.frames),
        image_shape=(config.frames * config.size, config.size, channels),
        regularization=adversarial.Regularization(
            r1=config.r1, r2=config.r2, every=config.penalty_every
        ),
        features=features,
    )


def load(config: Config) -> Any:
    """The Clips that --dataset names."""
    if config.dataset == "digits" or config.dataset.startswith("tfds:"):
        half = (config.size // 2, config.size // 2)
        data = load_images(config.dataset, config.data_dir, size=half, quiet=config.quiet)
        return moving_images(data, config.size, config.frames)
    return clip_folder(config.dataset, config.size, config.frames)


def build(config: Config) -> Experiment:
    """The data, the networks and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    if config.predict:
        raise ValueError("a GAN predicts nothing: --sample=N writes clips")
    placement = place(
        config.parallel,
        batch_size=config.batch_size,
        num_seeds=sweep.count(config),
        vectorize_seeds=config.vectorize_seeds,
    )
    clips = load(config)
    judged = judges.load(clips, config.score_clips, config.quiet)

    def arrays(part: dict) -> dict:
        return {"image": video.to_strips(part["image"]), "label": part["label"]}

    held_out = {k: x[:WATCHED] for k, x in arrays(clips.test).items()}
    held_out["index"] = np.arange(len(held_out["label"]), dtype=np.int32)
    examples = feed.examples(held_out, 250, placement.batch_multiple)
    _, frames, height, width, channels = clips.train["image"].shape
    return Experiment(
        name="video_gan",
        dataset=f"{clips.name} ({len(clips.train['label'])} clips {frames}x{height}x{width})",
        task=lambda config: make_task(config, channels, judged.features),
        feed=feed.in_memory(arrays(clips.train), config.batch_size),
        placement=placement,
        validation=examples,
        test=examples,
        summarise=partial(summarise, judged.clips.reference),
        facts={"channels": channels},
        notes=(*clips.notes, *judged.notes),
        conclude=partial(_conclude, config, clips, judged),
        watch=image_plots.keep,
    )


def _draw(config: Config, state: Any, channels: int, count: int, first: int = 0) -> Any:
    """Clips uint8 [count, T, H, W, C] of a State's generator."""
    generator, _ = networks(config, channels)
    sampler = sampling.sampler(generator, latent(config).length(config.frames))
    strips = sampling.samples(sampler, state, np.zeros(count, np.int32), first)
    return video.to_clips(strips, config.frames)


def _conclude(config: Config, clips: Any, judged: Any, run: Any, *_: Any) -> Conclusion:
    """Scores samples of every seed and draws the first."""
    channels = clips.train["image"].shape[-1]
    drawn = [
        _draw(config, state, channels, judged.clips.images, SCORED) for state in sampling.seeds(run)
    ]
    findings, lines = judged.findings(drawn)

    def draw(folder: Path) -> None:
        video_plots.draw(folder, drawn[0], clips.test["image"], clips.train["image"])

    return Conclusion(findings, lines, draw=draw)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build(config))


def sample(config: Config, count: int) -> Any:
    """Draws from the generator in config.workdir, of its first seed: uint8 [count, T, H, W, C].

    Writes workdir/samples/NUMBER.gif, and sheet.gif with all that have place.
    """
    config, facts = session.saved(config)
    task = make_task(config, facts["channels"])
    run, step = session.restore(config, task, place("none"), best=False)
    clips = _draw(config, next(sampling.seeds(run)), facts["channels"], count)
    folder = Path(config.workdir) / "samples"
    for number, clip in enumerate(clips):
        frames = [samples.tile(frame[None], 1) for frame in clip]
        samples.animation(frames, folder / f"{number:05d}.gif", video_plots.SECONDS)
    samples.animation(video_plots.playing(clips), folder / "sheet.gif", video_plots.SECONDS)
    print(f"checkpoint of step {step}; {count} clips in {folder}/, all on {folder}/sheet.gif")
    return clips


def run(config: Config) -> None:
    """What the command line does."""
    if config.sample:
        sample(config, config.sample)
    else:
        train(config)
