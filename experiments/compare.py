"""Compares runs: a table of what differs and what they reached, their curves, their pictures.

    python -m experiments.compare runs/                        # every run below the folder
    python -m experiments.compare runs/lenet runs/resnet       # these two
    python -m experiments.compare runs/ --metrics=accuracy,loss --axis=seconds --output=page.html

Prints the table and writes it as one self-contained HTML page (sortable, with the learning curves
overlaid and the pictures side by side; it needs no network) and as CSV. A row shows a run, its
flags where they differ from those of the others, and the mean of its test scores over seeds with
Student's 95 % interval. Runs of several experiments may be mixed.
"""

from dljax.apps.configs.compare import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import compare

    compare.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
