"""Prints what each process sees: devices, memory, versions, clock, and if the workdir is shared.

    python -m experiments.devices

Of several processes (docs/devices.md), started as a training is, process 0 prints a line for each.
Ends with exit code 1 where their versions differ, or the workdir is not the same folder for all.
"""

from dljax.apps.configs.devices import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import devices

    devices.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
