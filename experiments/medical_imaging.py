"""Medical image analysis: classification and segmentation, in two and three dimensions.

python -m experiments.medical_imaging                              # brain tissue, embedded
python -m experiments.medical_imaging --dataset=FILE.npz           # MedMNIST's layout
"""

from dljax.apps.configs.medical_imaging import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import medical_imaging

    medical_imaging.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
