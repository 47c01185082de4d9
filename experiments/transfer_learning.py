r"""Transfer learning: a pretrained network, a few labelled images, and what the pretraining buys.

    python -m experiments.transfer_learning                      # printed letters to digits
    python -m experiments.transfer_learning --source=NAME --dataset=FOLDER
    python -m experiments.transfer_learning --source=WORKDIR --method=full --shots=10
    python -m experiments.transfer_learning --predict=IMAGE --workdir=runs/transfer_learning/full-10
    python -m experiments.transfer_learning --source=NAME --method=none --predict=IMAGE
    python -m experiments.transfer_learning --source=NAME --features=OUT.npz

One method and one number of shots make a run in the workdir. Several are compared: each is a run in
a folder of its own below it, and the figure shows test accuracy against labelled images a class.
Each seed draws its own labelled images. Results of each command: README.
"""

from dljax.apps.configs.transfer_learning import Config
from dljax.run.config import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import transfer_learning

    transfer_learning.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
