r"""Generative adversarial networks of images, scored and looked at.

    python -m experiments.image_gan                                 # digits, a minute on two cores
    python -m experiments.image_gan --dataset=tfds:mnist --data_dir=DIR --model=dcgan
    python -m experiments.image_gan --dataset=FOLDER --image_size=32 --conditional
    python -m experiments.image_gan --sample=64                     # PNGs of the trained generator

--dataset takes what image_classification does; a folder without classes is read, too, but then
only scored with --extractor. Scores are those of a classifier's features (the run of
image_classification that --extractor names, else one trained here once), beside those of real
images and of noise. Results of each command: README.
"""

from dljax.apps.configs.image_gan import Config
from dljax.run.config import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import image_gan

    image_gan.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
