r"""Video generation: GANs of short clips (after MoCoGAN) and their scores.

    python -m experiments.video_gan                                 # digits that move and bounce
    python -m experiments.video_gan --dataset=tfds:mnist --data_dir=DIR --size=32
    python -m experiments.video_gan --dataset=FOLDER                # of GIFs, or folders of frames
    python -m experiments.video_gan --sample=16                     # GIFs by the trained generator

--dataset takes images that are made to move ('digits' or 'tfds:NAME': each image, half as large as
the canvas, moves and bounces), or a folder of films. Scores use the features of two classifiers
trained here once, one of frames and one of clips, and are printed beside those of real clips and of
noise. The default takes at most 1366 s on two cores (three seeds took that long on one): FID of
2000 clips 12.6 +- 2.0 over the three seeds.
"""

from dljax.apps.configs.video_gan import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import video_gan

    video_gan.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
