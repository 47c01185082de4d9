r"""The memory of recurrent networks: the adding problem, and images read piece by piece.

    python -m experiments.sequence_probes                         # adding problem, length 200, GRU
    python -m experiments.sequence_probes --cell=rnn              # which a plain RNN does not solve
    python -m experiments.sequence_probes --probe=digits_pixels   # 64 pixels, one at a time
    python -m experiments.sequence_probes --probe=digits_rows --dataset=tfds:mnist --data_dir=DIR

The default takes two minutes on two cores. With 3 seeds the squared error of the adding problem is
0.00035 ± 0.00016 for GRU, 0.0031 ± 0.0026 for LSTM and 0.1586 ± 0.0014 for a plain RNN; always
predicting 1 gives 0.1608, and below 0.01 counts as solved.
Of digits, the accuracy of a GRU was 0.984 ± 0.003 by rows and 0.941 ± 0.014 by pixels (LSTM
0.962 ± 0.014, RNN 0.942 ± 0.005); 3 nearest neighbours have 0.981.

The pictures show the gradient norms over time, for each kind of cell, and the gates of the trained
one.
"""

from dljax.apps.configs.sequence_probes import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import sequence_probes

    sequence_probes.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
