r"""Generative adversarial networks of short clips, scored and looked at.

    python -m experiments.video_gan                                 # scans of digits that move
    python -m experiments.video_gan --dataset=tfds:mnist --data_dir=DIR --size=32
    python -m experiments.video_gan --dataset=FOLDER                # of GIFs, or folders of frames
    python -m experiments.video_gan --sample=16                     # GIFs by the trained generator

--dataset takes what makes moving images ('digits' or 'tfds:NAME': each image, half as large as the
canvas, moves and bounces), or a folder of the user's own films. Scores are those of two
classifiers trained here once: one of frames (what is seen) and one of clips (what moves which
way), beside those of real clips and of noise. Results of each command: README.
"""

from dljax.apps.configs.video_gan import Config
from dljax.run.config import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import video_gan

    video_gan.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
