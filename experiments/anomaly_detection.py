r"""Online anomaly detection in time series: each row is scored by a model of the rows before it.

    python -m experiments.anomaly_detection                        # cycles of six machines
    python -m experiments.anomaly_detection --dataset=injected     # weather and stocks
    python -m experiments.anomaly_detection --dataset=nab:FOLDER   # the folder of data/ and labels/
    python -m experiments.anomaly_detection --dataset=FILE.csv --time=when --target=load
    python -m experiments.anomaly_detection --predict=FILE.csv     # with the settings of a run
    python -m experiments.anomaly_detection --evaluate=FILE.csv --labels=fault

A small recurrent network for each series, all of them trained in one program while the series are
read; its errors, and the levels and shapes of the series, are compared with their own past. Leaves
detections.csv and pictures; with labels, NAB's score and others, also of baseline detectors.

The default with --num_seeds=3: NAB's standard score is 92.8 +- 2.0, where levels and shapes without
the network have 93.5, levels alone 62.2, the windowed Gaussian 9.4 and a seasonal z-score 2.9;
VUS-PR 0.861 +- 0.018, 0.884, 0.452, 0.125, 0.138. On --dataset=injected (1 seed) a seasonal z-score
is better, 49.7 against 41.4.

NAB's 35 files in realKnownCause, realAWSCloudwatch and artificial*, --num_seeds=3: 72.1 +- 1.1
(standard), 64.3 +- 1.6 (low FP), 76.9 +- 1.1 (low FN); 71.6 +- 0.9 at the threshold --alarm.
Without the network 66.6, 63.1, 69.9, by levels alone 59.2, 56.6, 61.9; windowed Gaussian 23.3,
10.7, 30.1. With --alarm and --rest chosen on the other folders: 65.8, 64.4 in low FP.
"""

from dljax.apps.configs.anomaly_detection import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import anomaly_detection

    anomaly_detection.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
