"""Medical image analysis: classification and segmentation, in two and three dimensions.

    python -m experiments.medical_imaging                             # tissues of a degraded brain
    python -m experiments.medical_imaging --predict=SCAN.nii.gz       # by the model of that run
    python -m experiments.medical_imaging --dataset=pneumoniamnist.npz
    python -m experiments.medical_imaging --dataset=FOLDER --patient_pattern='(\\w+)-\\d+'
    python -m experiments.medical_imaging --dataset=Task04_Hippocampus --spacing=1,1,1

The data decides: a MedMNIST .npz or a folder per class of images is classified; the 'brain'
(embedded), a folder in nnU-Net's layout, or images with masks are segmented. For research: it must
not decide about anybody's health (docs/medical_imaging.md).

The default takes some five minutes on two cores: test Dice 0.874, one seed (grey levels that were
learned in training: 0.708); its limits are on that page.
"""

from dljax.apps.configs.medical_imaging import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import medical_imaging

    medical_imaging.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
