r"""Classification of texts by recurrent networks, beside counts of words.

    python -m experiments.text_classification                        # which book a passage is from
    python -m experiments.text_classification --dataset=FILE.csv --label_column=stars
    python -m experiments.text_classification --dataset=FILE.csv --predict=OTHER.csv
    python -m experiments.text_classification --dataset=FILE.csv --evaluate=OTHER.csv

A bidirectional recurrent stack reads the characters; the baseline is tf-idf of words with logistic
regression.
"""

from dljax.apps.configs.text_classification import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import text_classification

    text_classification.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
