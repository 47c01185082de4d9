r"""What a recurrent network can remember: the adding problem, and digits read piece by piece.

    python -m experiments.sequence_probes                         # adding problem, length 200, GRU
    python -m experiments.sequence_probes --cell=rnn              # which a plain RNN does not solve
    python -m experiments.sequence_probes --probe=digits_pixels   # 64 pixels, one after the other
    python -m experiments.sequence_probes --probe=digits_rows --dataset=tfds:mnist --data_dir=DIR

With the defaults and 3 seeds the squared error of the adding problem ended at 0.0003 ± 0.0002 for
GRU, 0.0034 ± 0.0021 for LSTM and 0.1586 ± 0.0014 for a plain RNN; always to answer 1 has 0.1608.
A seed takes two minutes on two cores. Of digits, read by a GRU in rows 0.984 ± 0.003 were right,
in pixels 0.941 ± 0.014 (LSTM 0.962 ± 0.014, RNN 0.942 ± 0.005); 3 nearest neighbours have 0.981.

The pictures that it leaves show how far back the gradient of the end reaches, for each kind of
cell, and what the gates of the trained one do.
"""

from dljax.apps.configs.sequence_probes import Config
from dljax.run.config import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import sequence_probes

    sequence_probes.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
