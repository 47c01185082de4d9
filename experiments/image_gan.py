r"""Image generation: GANs of images (DCGAN, SNGAN, R3GAN) and their scores.

    python -m experiments.image_gan                                 # digits
    python -m experiments.image_gan --dataset=tfds:mnist --data_dir=DIR --model=dcgan
    python -m experiments.image_gan --dataset=FOLDER --image_size=32 --conditional
    python -m experiments.image_gan --sample=64                     # PNGs by the trained generator

--dataset takes what image_classification takes; a folder without classes is read too, but scored
only with --extractor. Scores use the features of a classifier (the run of image_classification that
--extractor names, else a LeNet trained here once) and are printed beside those of real images and
of noise. The default takes a minute on two cores; with --num_seeds=5: FID 6.6 +- 1.2 (real test
images 9.228, noise 232), and no seed collapsed.
"""

from dljax.apps.configs.image_gan import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import image_gan

    image_gan.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
