r"""Do samples of a GAN help a classifier that has few labelled images? A comparison.

    python -m experiments.gan_augmentation                       # digits, 5 seeds in one program
    python -m experiments.gan_augmentation --dataset=tfds:mnist --data_dir=DIR --num_seeds=3

Of each class, --labels images are labelled. A classifier is trained on them alone, with standard
augmentation, with samples of a conditional GAN that was trained on the same images and no others,
and with both: each for the same number of steps, on the same number of images. Every seed has
labelled images of its own. The share of samples in a batch is chosen on the validation images; the
test images are scored once, at the end. Each training is a run of its own below the workdir, for
--predict of image_classification and --sample of image_gan. The default takes 1762 s on two cores:
with 5 labelled images of each class, samples change the test accuracy by +0.4 [-2.8, +3.7] points.
"""

from dljax.apps.configs.gan_augmentation import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import gan_augmentation

    gan_augmentation.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
