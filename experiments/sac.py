"""Soft actor-critic: continuous actions, learned off a replay memory.

    python -m experiments.sac                    # Pendulum-v1, eight agents
    python -m experiments.sac --play=0           # draws an episode of the best

The first one with --episodes=256, of 2e4 steps an agent: a return of -144.5 +- 0.4 over 8 seeds,
each of 256 test episodes; random play -1229; 57 s of training on two cores.
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments import agents, base


@dataclass(frozen=True, kw_only=True)
class Config(agents.Config):
    """The flags of SAC; the defaults are tuned for Pendulum-v1."""

    workdir: str = base.field("runs/sac", "folder of the run", path=True, resume=False)
    env: str = base.field("Pendulum-v1", "name of an environment of gymnax")
    total_steps: int = base.field(
        20_000, "steps of each agent's environments, all together", minimum=1
    )
    batch_size: int = base.field(128, "samples in an update", minimum=1)
    learning_rate: float = base.field(1e-3, "highest learning rate of the schedule", minimum=0)
    environments: int = base.field(4, "environments side by side", minimum=1)
    rollout: int = base.field(2, "steps of each environment in a step of the task", minimum=1)

    capacity: int = base.field(65_536, "transitions that the memory holds", minimum=1)
    warmup_steps: int = base.field(1024, "random transitions it is filled with at first", minimum=1)
    updates: int = base.field(8, "updates in a step of the task", minimum=1)
    tau: float = base.field(0.01, "share that the target critics take over", minimum=0, maximum=1)
    reward_scale: float = base.field(0.1, "what rewards are multiplied by to learn")
    entropy: float = base.field(-1.0, "of the policy, for each dimension of its actions")


def make(config: Config) -> agents.Agent:
    """Environment, networks and Task of a Config.

    Raises ValueError for discrete actions, pictures, a common clipping of gradients, and where the
    program would hang.
    """
    from functools import partial

    import flax.linen as nn
    import jax

    from dljax.rl import networks, sac
    from dljax.rl.environments import Box

    env = agents.environment(config)
    if not isinstance(env.action, Box) or agents.pictured(env):
        raise ValueError(f"SAC wants vectors and continuous actions: {config.env} has other ones")
    if config.clip_norm:
        raise ValueError("clip_norm would mix the gradients of policy and critics: leave it 0")
    if config.seeds_by == "vmap" and jax.default_backend() == "cpu":  # measured, jaxlib 0.10.2
        raise ValueError("seeds side by side make SAC hang in XLA's CPU runtime: use seeds_by=map")
    torso = agents.torso(config, env, activation=nn.relu)
    actor, critics = networks.SquashedActor(env.action, torso), networks.Critics(torso)
    settings = agents.settings(sac.Settings, config, warmup=config.warmup_steps)
    tx = agents.transformation(config, config.updates)
    task = sac.task(env, actor, critics, tx, settings)
    return agents.Agent("sac", env, task, partial(sac.acting, actor, best=True))


if __name__ == "__main__":
    agents.main(make, Config, __doc__)
