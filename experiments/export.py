"""Exports a trained model as one file that runs without dljax's models, for other programs.

    python -m experiments.export --workdir=runs/image_classification-digits
    python -m experiments.export --workdir=runs/forecasting-weather --platforms=cpu

    from dljax.train import export                  # all that the other program imports of dljax
    model = export.load("runs/image_classification-digits/model.zip")
    model(image=images)["probability"]              # uint8 [B, H, W, C] -> float32 [B, classes]

Takes the best checkpoint of a run, the mean over its seeds. The file holds a StableHLO program for
any number of examples, preprocessing included, the weights, a description of inputs and outputs,
and a README. After writing, the file is read back and compared with what --predict computes.
"""

from dljax.apps.configs.export import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import export

    export.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
