r"""Online anomaly detection in time series: each row is scored by a model of the rows before it.

    python -m experiments.anomaly_detection                        # cycles of six machines
    python -m experiments.anomaly_detection --dataset=injected     # weather and stocks
    python -m experiments.anomaly_detection --dataset=nab:FOLDER   # the folder of data/ and labels/
    python -m experiments.anomaly_detection --dataset=FILE.csv --time=when --target=load
    python -m experiments.anomaly_detection --predict=FILE.csv     # with the settings of a run
    python -m experiments.anomaly_detection --evaluate=FILE.csv --labels=fault

A small recurrent network for each series, all of them trained in one program while the series are
read; its errors, and the level of the series, are compared with their own past. Leaves
detections.csv and pictures; with labels, NAB's score and others, also of baseline detectors.

The default with --num_seeds=3: NAB's standard score is 80.2 +- 2.8, where the levels alone have
52.5, the windowed Gaussian 9.4 and a seasonal z-score 2.9; VUS-PR 0.563 +- 0.018, 0.328, 0.125,
0.138. On --dataset=injected (1 seed) a seasonal z-score is better, 49.7 against 48.7.

NAB's 35 files in realKnownCause, realAWSCloudwatch and artificial*, --num_seeds=3, 58 s on 2 cores:
67.5 +- 1.0 (standard), 52.4 +- 1.0 (low FP), 74.5 +- 1.1 (low FN); 67.1 +- 1.2 at the threshold
--alarm. Without the network, by levels alone, 65.2, 56.0, 70.1; windowed Gaussian 23.3, 10.7, 30.1.
--alarm and --rest were chosen on these files; chosen on the other folders (files) of them, and
scored at that alarm: 65.0 (66.5).
"""

from dljax.apps.configs.anomaly_detection import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import anomaly_detection

    anomaly_detection.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
