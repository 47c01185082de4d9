r"""Proximal policy optimisation: agents that learn a policy and a value.

    python -m experiments.ppo                    # CartPole-v1, eight agents
    python -m experiments.ppo --env=Acrobot-v1
    python -m experiments.ppo --env=Pendulum-v1 --episodes=256
    python -m experiments.ppo --play=0           # draws an episode of the best checkpoint

Mean return +- deviation over 8 seeds, each of 64 test episodes (Pendulum 256), the greedy policy;
seconds of training on two cores:

    CartPole-v1    500 +- 0          1e5 steps an agent     5 s    random play 23
    Acrobot-v1     -78.8 +- 1.5      5e5                   21 s    random play -499
    Pendulum-v1    -152.2 +- 5.0     5e5                   33 s    random play -1229

The default takes 5 s on two cores. Where an observation does not determine the best action, a
recurrent core is needed. Ten steps of MemoryChain, whose first observation names the right last
action (chance: 0):

    python -m experiments.ppo --env=MemoryChain-bsuite --env_params=memory_length=10 \
        --total_steps=100000 --core=gru

1 +- 0 with --core=gru, 1 +- 0 with lstm, 0.00 +- 0.23 with none. CartPole-v1 without velocities:

    python -m experiments.ppo --hide_velocities --environments=16 --rollout=32 \
        --total_steps=300000 --core=gru --workdir=runs/ppo-CartPole-v1-positions

500 +- 0 with gru, 43.8 +- 0.4 with none.
"""

from dljax.apps.configs.agent import tuned_table
from dljax.apps.configs.ppo import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import ppo

    ppo.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__ + tuned_table(Config))
