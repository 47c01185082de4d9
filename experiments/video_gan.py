"""Generative adversarial networks of short clips, scored and looked at.

    python -m experiments.video_gan                                 # scans of digits that move
    python -m experiments.video_gan --dataset=tfds:mnist --data_dir=DIR --size=32
    python -m experiments.video_gan --dataset=FOLDER                # of GIFs, or folders of frames
    python -m experiments.video_gan --sample=16                     # GIFs by the trained generator

--dataset takes what makes moving images ('digits' or 'tfds:NAME': each image, half as large as the
canvas, moves and bounces), or a folder of the user's own films. Scores are those of two
classifiers trained here once: one of frames (what is seen) and one of clips (what moves which
way), beside those of real clips and of noise. Results of each command: README.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import base, sweep

if TYPE_CHECKING:
    from experiments.session import Conclusion, Experiment, Outcome

SCORED = 2**20  # number of the first sample that is scored; those shown begin at 0
WATCHED = 500  # clips of an evaluation while training


@dataclass(frozen=True, kw_only=True)
class Config(base.Config):
    """The flags of video GANs; the defaults are tuned for moving digits."""

    workdir: str = base.field("runs/video_gan", "folder of the run", path=True, resume=False)
    dataset: str = base.field("digits", "digits, tfds:NAME, or a folder of clips", path=True)
    steps: int = base.field(5000, "training steps: updates of the generator", minimum=1)
    batch_size: int = base.field(16, "clips in an update", minimum=1)
    learning_rate: float = base.field(1.5e-3, "of both networks", minimum=0)

    size: int = base.field(16, "height and width of a frame", minimum=8, maximum=128)
    frames: int = base.field(8, "frames of a clip", minimum=3, maximum=64)
    content: int = base.field(32, "numbers in the latent of a clip's content", minimum=1)
    motion: int = base.field(16, "numbers in the latent that starts the motion", minimum=1)
    noise: int = base.field(2, "further numbers for each frame of the motion", minimum=1)
    width: int = base.field(32, "channels of the generator's largest layer", minimum=1)
    clip_width: int = base.field(32, "of the first layer that judges clips", minimum=1)
    frame_width: int = base.field(
        32, "of the first layers that judge frames and identity", minimum=1
    )
    hidden: int = base.field(256, "numbers in a dense layer before the logits; 0: none", minimum=0)
    loss: str = base.field(
        "non_saturating",
        "adversarial loss",
        choices=("non_saturating", "hinge", "least_squares", "relativistic"),
    )
    schedule: str = base.field(
        "linear", "of the learning rates", choices=("constant", "linear", "cosine")
    )
    r1: float = base.field(0.5, "gamma of R1, the penalty at real clips", minimum=0)
    r2: float = base.field(0.0, "gamma of R2, the penalty at samples", minimum=0)
    penalty_every: int = base.field(8, "updates from one penalty to the next", minimum=1)
    beta1: float = base.field(0.5, "Adam's", minimum=0, maximum=0.9999)
    beta2: float = base.field(0.99, "Adam's", minimum=0, maximum=0.9999)
    ema: float = base.field(0.998, "decay of the generator's average", minimum=0, maximum=0.99999)

    score_clips: int = base.field(2000, "clips that are scored, at most", minimum=10)
    sample: int = base.field(
        0, "write so many samples of the trained generator", minimum=0, resume=False
    )


def networks(config: Config, channels: int) -> tuple[Any, Any]:
    """The generator and the discriminator of a Config."""
    import jax.numpy as jnp

    from dljax.gan import video
    from dljax.gan.networks import DCGANDiscriminator, DCGANGenerator

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
    from dljax.gan.video import Latent

    return Latent(config.content, config.motion, config.noise)


def make_task(config: Config, channels: int, features: Any = None) -> Any:
    """The Task of a Config. features: streams the scores of evaluations (adversarial.task)."""
    from dljax.gan import adversarial
    from dljax.gan.losses import LOSSES
    from dljax.train import optim

    schedule = optim.schedule(config.schedule, config.learning_rate, config.steps)
    return adversarial.task(
        *networks(config, channels),
        adversarial.adam(schedule, config.beta1, config.beta2, config.ema),
        adversarial.adam(schedule, config.beta1, config.beta2),
        LOSSES[config.loss],
        latent=latent(config).length(config.frames),
        image_shape=(config.frames * config.size, config.size, channels),
        discipline=adversarial.Discipline(r1=config.r1, r2=config.r2, every=config.penalty_every),
        features=features,
    )


def load(config: Config) -> Any:
    """The Clips that --dataset names."""
    from dljax.data.sources import load_images
    from dljax.data.sources.clips import clip_folder, moving_images

    if config.dataset == "digits" or config.dataset.startswith("tfds:"):
        half = (config.size // 2, config.size // 2)
        data = load_images(config.dataset, config.data_dir, size=half, quiet=config.quiet)
        return moving_images(data, config.size, config.frames)
    return clip_folder(config.dataset, config.size, config.frames)


def build(config: Config) -> Experiment:
    """The data, the networks and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    import numpy as np

    from dljax.data import feed
    from dljax.gan import pictures, video
    from dljax.gan.watching import summarise
    from dljax.train.parallel import place
    from experiments import judges
    from experiments.session import Experiment

    if config.predict:
        raise ValueError("a GAN predicts nothing: --sample=N writes clips")
    placement = place(
        config.parallel,
        batch_size=config.batch_size,
        num_seeds=sweep.count(config),
        seeds_by=config.seeds_by,
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
        watch=pictures.keep,
    )


def _draw(config: Config, state: Any, channels: int, count: int, first: int = 0) -> Any:
    """Clips uint8 [count, T, H, W, C] of a State's generator."""
    import numpy as np

    from dljax.gan import sampling, video

    generator, _ = networks(config, channels)
    sampler = sampling.sampler(generator, latent(config).length(config.frames))
    strips = sampling.samples(sampler, state, np.zeros(count, np.int32), first)
    return video.to_clips(strips, config.frames)


def _conclude(config: Config, clips: Any, judged: Any, run: Any, *_: Any) -> Conclusion:
    """Scores samples of every seed and draws the first."""
    from dljax.gan import footage, sampling
    from experiments.session import Conclusion

    channels = clips.train["image"].shape[-1]
    drawn = [
        _draw(config, state, channels, judged.clips.images, SCORED) for state in sampling.seeds(run)
    ]
    findings, lines = judged.findings(drawn)

    def draw(folder: Path) -> None:
        footage.draw(folder, drawn[0], clips.test["image"], clips.train["image"])

    return Conclusion(findings, lines, draw=draw)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    from experiments import session

    return session.train(config, build(config))


def sample(config: Config, count: int) -> Any:
    """Draws from the generator in config.workdir, of its first seed: uint8 [count, T, H, W, C].

    Writes workdir/samples/NUMBER.gif, and sheet.gif with all that have place.
    """
    from dljax.gan import footage, sampling
    from dljax.plots import samples
    from dljax.train.parallel import place
    from experiments import session

    config, facts = session.saved(config)
    task = make_task(config, facts["channels"])
    run, step = session.restore(config, task, place("none"), best=False)
    clips = _draw(config, next(sampling.seeds(run)), facts["channels"], count)
    folder = Path(config.workdir) / "samples"
    for number, clip in enumerate(clips):
        frames = [samples.tile(frame[None], 1) for frame in clip]
        samples.animation(frames, folder / f"{number:05d}.gif", footage.SECONDS)
    samples.animation(footage.playing(clips), folder / "sheet.gif", footage.SECONDS)
    print(f"checkpoint of step {step}; {count} clips in {folder}/, all on {folder}/sheet.gif")
    return clips


def run(config: Config) -> None:
    """What the command line does."""
    if config.sample:
        sample(config, config.sample)
    else:
        train(config)


if __name__ == "__main__":
    base.main(run, Config, __doc__)
