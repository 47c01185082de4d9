r"""PQN, parallelised Q-learning: many environments, no replay memory, no target network.

    python -m experiments.pqn                                     # CartPole-v1, eight agents
    python -m experiments.pqn --env=Breakout-MinAtar
    python -m experiments.pqn --env=FourRooms-misc --gamma=0.95   # beside the exact values
    python -m experiments.pqn --play=0            # draws an episode of the best checkpoint

Returns of 8 seeds, each of 64 test episodes, with the defaults (random play in brackets):
CartPole-v1, 2e5 steps an agent: 500 +- 0 (23). Acrobot-v1, 5e5: -84.2 +- 3.0 (-499).
MountainCar-v0, 1e6: -101.0 +- 1.4 (-200).
Breakout-MinAtar, 5e6: 58.8 +- 16.7 (0.3). SpaceInvaders-MinAtar, 1e6 (--total_steps): 120.9 +- 22.7
(4.2). FourRooms-misc, 5e5, --gamma=0.95: 1 +- 0 (0.4), from a value at the start of 0.276 where
the best policy's is 0.287.
"""

from dljax.apps.configs.agent import tuned_table
from dljax.apps.configs.pqn import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import pqn

    pqn.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__ + tuned_table(Config))
