"""Networks of agents: torsos, a recurrent core, heads for policies, values and action values.

A network is called with one step of many environments and with its memory,

    memory, outputs = network.apply(variables, memory, obs [N, ...], start [N])

and `unroll` gives the outputs of whole sequences, obs [T, N, ...]. The memory of a network without
a recurrent core is (). Where `start` is true an episode begins, and the memory is zeroed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dljax.envs.environment import Box, Discrete, Space
from dljax.nn.convolution import Conv
from dljax.nn.parameters import param
from dljax.nn.recurrent.layers import GRU, Layer
from dljax.rl.policies import Categorical, Normal, Policy, Squashed

Memory = Any


def dense(features: int, scale: float = math.sqrt(2)) -> nn.Dense:
    """A dense layer with an orthogonal kernel of that gain (Saxe et al. 2014) and no bias yet."""
    return nn.Dense(features, kernel_init=nn.initializers.orthogonal(scale))


def layer_norm() -> nn.LayerNorm:
    """LayerNorm whose variance is that of the deviations, also where the mean is far larger."""
    return nn.LayerNorm(use_fast_variance=False)


class MLP(nn.Module):
    """Hidden layers over an observation of so many axes: [..., I] -> [..., features[-1]].

    norm: LayerNorm before each activation.
    """

    features: Sequence[int] = (64, 64)
    activation: Callable[[Array], Array] = nn.tanh
    norm: bool = False
    axes: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = x.reshape(*x.shape[: x.ndim - self.axes], -1)
        for features in self.features:
            x = dense(features)(x)
            x = self.activation(layer_norm()(x) if self.norm else x)
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
        x = nn.relu(layer_norm()(x) if self.norm else x)
        x = dense(self.features)(x.reshape(*x.shape[:-3], -1))
        return nn.relu(layer_norm()(x) if self.norm else x)


class Core(nn.Module):
    """What carries over from step to step: a cell that forgets where an episode starts."""

    features: int = 64
    layer: Callable[..., Layer] = GRU

    def setup(self):
        self.cell = self.layer(self.features)

    def begin(self, batch: int) -> Memory:
        """The memory before the first step, [batch, features] or a pair of them (LSTM)."""
        return self.layer(self.features, parent=None).start(batch)

    def __call__(self, memory: Memory, x: Array, start: Array) -> tuple[Memory, Array]:
        """One step [N, I] -> the memory after it, features [N, F]."""
        memory = jax.tree.map(lambda h: jnp.where(start[:, None], 0.0, h), memory)
        return self.cell.step(memory, x)

    def unroll(self, memory: Memory, x: Array, start: Array) -> Array:
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
        log_std = param(self, "log_std", nn.initializers.zeros_init(), (size,))
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
        return self.core.begin(batch) if self.core else ()

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

    duelling: value and centred advantages apart (Wang et al. 2016, equation 9). quantiles K: of the
    return, which the method "distribution" returns [..., n, K]; Q is their mean.
    """

    action: Discrete
    torso: Callable[[], nn.Module] = MLP
    duelling: bool = False
    quantiles: int = 1

    def __call__(self, obs: Array) -> Array:
        return self.distribution(obs).mean(-1)

    @nn.compact
    def distribution(self, obs: Array) -> Array:
        """The quantiles of the return: obs [..., *shape] -> [..., n, K]."""
        x, k = self.torso()(obs), self.quantiles
        q = dense(self.action.n * k, 1.0)(x).reshape(*x.shape[:-1], self.action.n, k)
        if self.duelling:
            q = dense(k, 1.0)(x)[..., None, :] + q - q.mean(-2, keepdims=True)
        return q


class SquashedActor(nn.Module):
    """obs [..., *shape] -> a Squashed policy whose deviations depend on the state, e^-5 to e^2."""

    action: Box
    torso: Callable[[], nn.Module] = MLP

    @nn.compact
    def __call__(self, obs: Array) -> Squashed:
        (size,) = self.action.shape
        x = self.torso()(obs)
        mean, log_std = jnp.split(dense(2 * size, 0.01)(x), 2, axis=-1)
        return Squashed(Normal(mean, -1.5 + 3.5 * jnp.tanh(log_std)))


class Critics(nn.Module):
    """Q(s, a) of several networks apart: obs [..., I], action [..., D] -> [count, ...]."""

    torso: Callable[[], nn.Module] = MLP
    count: int = 2

    @nn.compact
    def __call__(self, obs: Array, action: Array) -> Array:
        x = jnp.concatenate([obs, action], axis=-1)
        return jnp.stack([dense(1, 1.0)(self.torso()(x))[..., 0] for _ in range(self.count)])
