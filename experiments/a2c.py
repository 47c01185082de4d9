r"""Advantage actor-critic: the gradient of a policy and a value, one step along it a rollout.

    python -m experiments.a2c                    # CartPole-v1, eight agents
    python -m experiments.a2c --play=0           # draws an episode of the best checkpoint

The first one, of 3e5 steps an agent: a return of 500 +- 0 over 8 seeds, each of 64 test episodes
(491 +- 7 where actions are drawn); random play 23. The default takes 5 s on two cores.

It is PPO with one epoch of one minibatch (Huang et al. 2022, "A2C is a special case of PPO"): where
the policy has not moved yet its ratio is 1, and the gradient of the clipped objective is that of
log pi(a | s) A (Mnih et al. 2016, section 4).
"""

from dljax.apps.configs.a2c import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import a2c

    a2c.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
