"""Networks of agents: torsos, a recurrent core, heads for policies, values and action values.

A network is called with one step of many environments and with what it remembers,

    memory, outputs = network.apply(variables, memory, obs [N, ...], start [N])

and `unroll` gives the outputs of whole sequences, obs [T, N, ...]. The memory of a network without
a recurrent core is (). Where `start` is true an episode begins, and what was remembered is zeroed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.nn.convolution import Conv
from dljax.nn.recurrent import GRU
from dljax.rl.environments import Discrete, Space
from dljax.rl.policies import Categorical, Normal, Policy

Memory = Any


def dense(features: int, scale: float = math.sqrt(2)) -> nn.Dense:
    """A dense layer with an orthogonal kernel of that gain (Saxe et al. 2014) and no bias yet."""
    return nn.Dense(features, kernel_init=nn.initializers.orthogonal(scale))


class MLP(nn.Module):
    """Hidden layers over a vector: [..., I] -> [..., features[-1]].

    norm: LayerNorm before each activation.
    """

    features: Sequence[int] = (64, 64)
    activation: Callable[[Array], Array] = nn.tanh
    norm: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for features in self.features:
            x = dense(features)(x)
            x = self.activation(nn.LayerNorm()(x) if self.norm else x)
        return x


class CNN(nn.Module):
    """One 3x3 convolution and a dense layer, for MinAtar: [..., H, W, C] -> [..., features].

    Source: Young and Tian 2019, section 3. norm: LayerNorm before each activation.
    """

    channels: int = 16
    features: int = 128
    norm: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        init = nn.initializers.orthogonal(math.sqrt(2))
        x = Conv(self.channels, (3, 3), padding="VALID", kernel_init=init)(x)
        x = nn.relu(nn.LayerNorm()(x) if self.norm else x)
        x = dense(self.features)(x.reshape(*x.shape[:-3], -1))
        return nn.relu(nn.LayerNorm()(x) if self.norm else x)


class Core(nn.Module):
    """What carries over from step to step: a GRU that forgets where an episode starts."""

    features: int = 64

    def setup(self):
        self.cell = GRU(self.features)

    def begin(self, batch: int) -> Array:
        """The memory before the first step [batch, features]."""
        return jnp.zeros((batch, self.features))

    def __call__(self, memory: Array, x: Array, start: Array) -> tuple[Array, Array]:
        """One step [N, I] -> the memory after it, features [N, F]."""
        return self.cell.step(jnp.where(start[:, None], 0.0, memory), x)

    def unroll(self, memory: Array, x: Array, start: Array) -> Array:
        """Sequences [T, N, I] -> features [T, N, F]."""
        return jax.lax.scan(lambda h, step: self(h, *step), memory, (x, start))[1]


class PolicyHead(nn.Module):
    """Features [..., F] -> a Categorical over a discrete space, a Normal over a box.

    The deviations of the Normal do not depend on the state (Schulman et al. 2015, appendix D).
    """

    action: Space

    @nn.compact
    def __call__(self, x: Array) -> Policy:
        if isinstance(self.action, Discrete):
            return Categorical(dense(self.action.n, 0.01)(x))
        (size,) = self.action.shape
        log_std = self.param("log_std", nn.initializers.zeros_init(), (size,))
        return Normal(dense(size, 0.01)(x), log_std)


class ActorCritic(nn.Module):
    """A policy and a value. shared: both on one torso, else on a torso each.

    torso: () -> module of observations. core: recurrent, needs `shared`.
    """

    action: Space
    torso: Callable[[], nn.Module] = MLP
    shared: bool = False
    core: Core | None = None

    def setup(self):
        if self.core and not self.shared:
            raise ValueError("a recurrent core is shared by policy and value: shared=True")
        self.policy_torso = self.torso()
        self.value_torso = None if self.shared else self.torso()
        self.memory = self.core.clone() if self.core else None
        self.policy_head = PolicyHead(self.action)
        self.value_head = dense(1, 1.0)

    def begin(self, batch: int) -> Memory:
        """The memory before the first step, of so many environments."""
        return jnp.zeros((batch, self.core.features)) if self.core else ()

    def __call__(
        self, memory: Memory, obs: Array, start: Array
    ) -> tuple[Memory, tuple[Policy, Array]]:
        """One step: obs [N, ...] -> the memory after it, (policy, value [N])."""
        x = self.policy_torso(obs)
        if self.memory:
            memory, x = self.memory(memory, x, start)
        return memory, self._heads(x, obs)

    def unroll(self, memory: Memory, obs: Array, start: Array) -> tuple[Policy, Array]:
        """Sequences: obs [T, N, ...] -> (policy, value [T, N])."""
        x = self.policy_torso(obs)
        if self.memory:
            x = self.memory.unroll(memory, x, start)
        return self._heads(x, obs)

    def _heads(self, x: Array, obs: Array) -> tuple[Policy, Array]:
        value = self.value_head(x if self.shared else self.value_torso(obs))
        return self.policy_head(x), value[..., 0]


class ActionValues(nn.Module):
    """Q(s, .): obs [..., *shape] -> [..., n].

    duelling: value and centred advantages apart (Wang et al. 2016, equation 9).
    """

    action: Discrete
    torso: Callable[[], nn.Module] = MLP
    duelling: bool = False

    @nn.compact
    def __call__(self, obs: Array) -> Array:
        x = self.torso()(obs)
        q = dense(self.action.n, 1.0)(x)
        if self.duelling:
            q = dense(1, 1.0)(x) + q - q.mean(-1, keepdims=True)
        return q
