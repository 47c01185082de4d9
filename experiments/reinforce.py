r"""REINFORCE with a baseline: the simplest policy gradient, whole episodes at a time.

    python -m experiments.reinforce              # CartPole-v1, eight agents
    python -m experiments.reinforce --play=0     # draws an episode of the best checkpoint

The first one, of 1e6 steps an agent: a return of 497 +- 5 over 8 seeds, each of 64 test episodes;
random play 23. The default takes 11 s on two cores. Steps count those of the rollout, also where
an episode ends before it.
"""

from dljax.apps.configs.reinforce import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import reinforce

    reinforce.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
