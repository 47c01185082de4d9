r"""Soft actor-critic: continuous actions, learned off a replay memory.

    python -m experiments.sac                    # Pendulum-v1, eight agents
    python -m experiments.sac --play=0           # draws an episode of the best checkpoint

The first one with --episodes=256, of 2e4 steps an agent: a return of -144.5 +- 0.4 over 8 seeds,
each of 256 test episodes; random play -1229. The default takes 57 s on two cores.
"""

from dljax.apps.configs.sac import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import sac

    sac.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
