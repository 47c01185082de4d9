"""Autonomous driving: from pictures to steering, scored by where the car ends up.

    python -m experiments.autonomous_driving                     # DAgger in the simulator
    python -m experiments.autonomous_driving --play=7            # a drive of that run as a GIF
    python -m experiments.autonomous_driving --method=cloning    # and why that is not enough
    python -m experiments.autonomous_driving --dataset=FOLDER    # recorded drives (Udacity's logs)
    python -m experiments.autonomous_driving --predict=PICTURES

The car's camera is rendered within the compiled step. A seed of the default trains in 72 seconds on
one core; over 100 unseen roads, both ways, five seeds complete every route, 0.051 m from the centre
on average (docs/autonomous_driving.md). Testing it, and again in fog and glare, takes longer.
"""

from dljax.apps.configs.autonomous_driving import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import autonomous_driving

    autonomous_driving.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
