r"""Deep Q-learning with a replay memory: double, duelling, prioritised, n-step, quantiles.

    python -m experiments.dqn                    # CartPole-v1, eight agents
    python -m experiments.dqn --play=0           # draws an episode of the best checkpoint
    python -m experiments.dqn --duelling --alpha=0.6 --quantiles=32 --workdir=runs/dqn-variant

The first one, of 2e5 steps an agent: a return of 496.6 +- 9.6 over 8 seeds, each of 64 test
episodes; random play 23. The defaults suit CartPole-v1; other environments need other flags.
"""

from dljax.apps.configs.dqn import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import dqn

    dqn.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
