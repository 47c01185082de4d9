"""The sections of `benchmarks.gpu`, and those of its training steps that are no network of images.

The floating-point operations of recurrent layers are counted by hand: their products, three times
for forward and backward.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import contest, driving, recurrent
from benchmarks.contest import Steps
from benchmarks.gpu_cases import Asked, Case, LeftOut, Problem, name_of, products, training
from benchmarks.gpu_goals import cifar, text
from benchmarks.gpu_networks import detector, resnets, unet
from dljax.apps import image_gan, ppo, pqn
from dljax.apps.configs.agent import resolved
from dljax.data import feed
from dljax.envs.driving.camera import View
from dljax.envs.driving.environment import Settings
from dljax.nn.recurrent.linear import MinGRU


def sections(asked: Asked) -> dict[str, Callable[[], Iterator[Case]]]:
    """What makes the cases of each section, in the order in which they are measured."""
    networks = [*resnets(asked), unet(asked), detector(asked)]
    halves, floats = ([x[dtype] for x in networks] for dtype in ("bfloat16", "float32"))
    steps = partial(training, asked, {})
    return {
        "card": partial(products, asked),
        "bfloat16": partial(steps, halves),
        "cifar": partial(cifar, asked),
        "agents": partial(steps, agents(asked)),
        "recurrent": partial(steps, layers(asked)),
        "text": partial(text, asked),
        "driving": partial(steps, cars(asked)),
        "gan": partial(steps, gans(asked)),
        "float32": partial(steps, floats),
        "compiled": partial(steps, [*halves, *floats], compiled=True),
    }


def layers(asked: Asked) -> list[Problem]:
    """LSTM and GRU beside PyTorch's, which on a card are cuDNN's, and the linear recurrence."""
    size = recurrent.Size(2, 4, 3, 8) if asked.tiny else recurrent.Size(64, 256, 512, 512)
    gates = {"LSTM": 4, "GRU": 3, "minGRU": 2}

    def one(layer: str, dtype: str) -> Problem:
        def module(dtype: Any) -> Any:
            kind = MinGRU if layer == "minGRU" else recurrent.LAYERS[layer][0]
            return kind(size.features, dtype)

        @functools.cache
        def start() -> tuple[Any, Any]:
            if asked.torch and layer != "minGRU":
                return recurrent.twin(layer, size)
            return None, jax.jit(module(None).init)(jax.random.key(0), jnp.zeros(size[:3]))[
                "params"
            ]

        def ours() -> Steps:
            model = module(jnp.dtype(dtype))
            loss = recurrent.squared_error(lambda *args: model.apply(*args)[1])
            return contest.in_our_loop(loss, start()[1], {}, recurrent.problem(size))[0]

        def theirs(compiled: bool) -> Steps:
            from benchmarks import twins

            net = copy.deepcopy(start()[0]).to(asked.device)
            call = twins.computed(net, dtype, asked.device, compiled)
            return recurrent.eager(net, recurrent.problem(size), call=call)

        def work() -> float:
            rows = size.inputs + (0 if layer == "minGRU" else size.features)
            return 3 * 2e-9 * size.batch * size.time * gates[layer] * rows * size.features

        name = f"{name_of(asked, layer)}, {size.batch}x{size.time}x{size.inputs}, {dtype}"
        peer = None if layer == "minGRU" else theirs
        return Problem(name, dtype, size.batch * size.time, "tokens", ours, peer, work)

    return [one(layer, dtype) for dtype in ("float32", "bfloat16") for layer in gates]


def agents(asked: Asked) -> list[Problem]:
    """PPO and PQN in CartPole; a step is a rollout and what is learnt from it."""
    environments, rollout, batch = (4, 4, 8) if asked.tiny else (2048, 64, 16384)

    def ours(app: Any) -> Steps:
        if importlib.util.find_spec("gymnax") is None:
            raise LeftOut("gymnax is not installed: docs/gpu.md says how to bring it")
        config = app.Config(environments=environments, rollout=rollout, batch_size=batch)
        return contest.in_turn(app.make(resolved(config)).task, feed.empty())

    played = environments * rollout
    where = f"CartPole-v1, {environments} environments"
    return [
        Problem(name_of(asked, f"{name}, {where}"), "float32", played, "steps", partial(ours, app))
        for name, app in (("PPO", ppo), ("PQN", pqn))
    ]


def cars(asked: Asked) -> list[Problem]:
    """The driving simulator, with its camera and without."""
    count, times, view = (2, 2, View(8, 16)) if asked.tiny else (1000, 100, View(64, 160))

    def one(name: str, view: View | None) -> Problem:
        def ours() -> Steps:
            return driving.simulation(Settings(view=view), count, times)[0]

        name = name_of(asked, f"{count} cars, {name}")
        return Problem(name, "float32", count * times, "steps", ours)

    return [one(f"camera {view.height}x{view.width}", view), one("state", None)]


def gans(asked: Asked) -> list[Problem]:
    """A step of generator and discriminator on images of 32x32."""
    batch, width, side = (4, 4, 8) if asked.tiny else (asked.fitting(256), 128, 32)

    def one(model: str) -> Problem:
        def ours() -> Steps:
            config = image_gan.Config(
                model=model, batch_size=batch, width=width, dtype="bfloat16", conditional=True
            )
            rng = np.random.default_rng(0)
            arrays = {
                "image": rng.integers(0, 256, (4 * batch, side, side, 3), np.uint8),
                "label": rng.integers(0, 10, 4 * batch).astype(np.int32),
            }
            task = image_gan.make_task(config, (side, side, 3), 10)
            return contest.in_turn(task, feed.in_memory(arrays, batch))

        name = name_of(asked, f"{model}, width {width}, {batch}x{side}x{side}, bfloat16")
        return Problem(name, "bfloat16", batch, "images", ours)

    return [one(model) for model in (("dcgan",) if asked.tiny else ("dcgan", "r3gan"))]
