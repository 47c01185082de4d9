"""GANs of short clips: training, scores and samples."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from dljax import plots
from dljax.apps.configs.video_gan import Config
from dljax.apps.gan import video_evaluation
from dljax.apps.gan.video_evaluation import VideoEvaluator
from dljax.data import feed
from dljax.data.images import EVALUATION_BATCH
from dljax.data.record_kinds import clips_record
from dljax.data.sources import load_images
from dljax.data.sources.clips import Clips, clip_folder, moving_images
from dljax.data.sources.dataset import Arrays
from dljax.gan import adversarial, image_plots, sampling, scores, video, video_plots
from dljax.gan.adversarial import FeatureFunction, State
from dljax.gan.dcgan import DCGANDiscriminator, DCGANGenerator
from dljax.gan.eval_metrics import summarise
from dljax.gan.losses import LOSSES
from dljax.gan.video import Latent
from dljax.run import session
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.train import optim
from dljax.train.loop import Run, Task
from dljax.train.parallel import place

HEADLINE = ("fid", "loss", "generator_loss")
SCORED = 2**20  # number of the first sample that is scored; pictures show those from 0 on
EVALUATED = 500  # clips of an evaluation while training


def networks(config: Config, channels: int) -> tuple[nn.Module, nn.Module]:
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


def latent(config: Config) -> Latent:
    """The parts of z."""
    return Latent(config.content, config.motion, config.noise)


def make_task(config: Config, channels: int, features: FeatureFunction | None = None) -> Task:
    """The Task of a Config. features: for scores of evaluations, see `adversarial.task`."""
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


def load(config: Config) -> Clips:
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
    placement = session.placement(config)
    clips = load(config)
    if (count := len(clips.test["label"])) <= scores.WIDER:
        raise ValueError(
            f"{config.dataset} has {count} test clips, and scores compare at least "
            f"{scores.WIDER + 1}: add clips"
        )
    evaluator = video_evaluation.load(clips, config.score_clips, config.quiet)

    def strips(part: Arrays) -> Arrays:
        return {"image": video.to_strips(part["image"]), "label": part["label"]}

    test = {k: x[:EVALUATED] for k, x in strips(clips.test).items()}
    test["index"] = np.arange(len(test["label"]), dtype=np.int32)
    examples = feed.examples(test, EVALUATION_BATCH, placement.batch_multiple)
    _, frames, height, width, channels = clips.train["image"].shape
    return Experiment(
        name=config.name,
        dataset=f"{clips.name} ({len(clips.train['label'])} clips {frames}x{height}x{width})",
        task=lambda config: make_task(config, channels, evaluator.features),
        feed=feed.in_memory(strips(clips.train), config.batch_size),
        placement=placement,
        headline=HEADLINE,
        data=clips_record(
            {"train": clips.train, "test": clips.test}, clips.classes, clips.left_out
        ),
        validation=examples,
        test=examples,
        summarise=partial(summarise, evaluator.clips.reference),
        metadata={"channels": channels},
        notes=(*clips.notes, *evaluator.notes),
        analyze=partial(_analyze, config, clips, evaluator),
        eval_callback=image_plots.save_snapshot,
    )


def _generate(
    config: Config, state: State, channels: int, count: int, first: int = 0
) -> np.ndarray:
    """Clips uint8 [count, T, H, W, C] of a State's generator."""
    generator, _ = networks(config, channels)
    sampler = sampling.sampler(generator, latent(config).length(config.frames))
    strips = sampling.samples(sampler, state, np.zeros(count, np.int32), first)
    return video.to_clips(strips, config.frames)


def _analyze(
    config: Config, clips: Clips, evaluator: VideoEvaluator, run: Run, scores: dict, baselines: dict
) -> Analysis:
    """Scores samples of every seed and draws the first seed's."""
    del baselines
    channels = clips.train["image"].shape[-1]
    generated = [
        _generate(config, state, channels, evaluator.clips.images, SCORED)
        for state in sampling.seeds(run)
    ]
    findings, lines = evaluator.findings(generated)

    def draw(folder: Path) -> None:
        video_plots.draw(folder, generated[0], clips.test["image"], clips.train["image"])

    # One number of a name: those of these samples, not of others drawn with the test part.
    found = findings["scores"]["clips"]["samples"]
    values = {k: np.array(x["per_seed"]) for k, x in found.items() if k in scores}
    return Analysis(findings, lines, draw=draw, metrics=values)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


def sample(config: Config, count: int) -> np.ndarray:
    """Samples of the generator in config.workdir, of its first seed: uint8 [count, T, H, W, C].

    Writes workdir/samples/NUMBER.gif, and the first ones side by side in sheet.gif.
    """
    config, metadata = session.saved(config)
    task = make_task(config, metadata["channels"])
    run, step = session.restore(config, task, place("none"), best=False)
    clips = _generate(config, next(sampling.seeds(run)), metadata["channels"], count)
    folder = Path(config.workdir) / "samples"
    for number, clip in enumerate(clips):
        frames = [plots.samples.tile(frame[None], 1) for frame in clip]
        plots.samples.animation(frames, folder / f"{number:05d}.gif", video_plots.SECONDS)
    plots.samples.animation(video_plots.grids(clips), folder / "sheet.gif", video_plots.SECONDS)
    print(f"checkpoint of step {step}; {count} clips in {folder}/, all on {folder}/sheet.gif")
    return clips


def run(config: Config) -> None:
    """What the command line does."""
    if config.sample:
        sample(config, config.sample)
    else:
        train(config)
