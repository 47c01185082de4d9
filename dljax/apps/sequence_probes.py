"""The memory of recurrent networks: the adding problem, and images read piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax import plots
from dljax.apps.configs.sequence_probes import CELLS, Config
from dljax.cnn.classification.baselines import image_baselines
from dljax.data import feed
from dljax.data.images import in_memory_images
from dljax.data.sources import load_images
from dljax.nn.recurrent import layers
from dljax.rnn.probes import problems
from dljax.rnn.probes.inspection import gates, gradient_norms
from dljax.rnn.probes.problems import Reader
from dljax.run import optimizer, session
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.train.loop import Run, Sums
from dljax.train.metrics import softmax_loss

TEST_SEQUENCES = 2000  # of the adding problem
SOLVED = 0.01  # squared error


def network(config: Config, outputs: int, cell: str | None = None) -> Reader:
    """The Flax module of a Config, or the same with another kind of layer."""
    stack = layers.Stack(
        config.features,
        config.depth,
        getattr(layers, (cell or config.cell).upper()),
        dropout=config.dropout,
        dtype=jnp.dtype(config.dtype),
    )
    return Reader(stack, outputs)


def build(config: Config) -> Experiment:
    """The problem, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    return _adding(config) if config.probe == "adding" else _images(config)


def _adding(config: Config) -> Experiment:
    placement, model = session.placement(config), network(config, 1)
    root = jax.random.key(problems.TEST)
    keys = jax.vmap(lambda i: jax.random.fold_in(root, i))(np.arange(TEST_SEQUENCES))
    x, target = jax.jit(jax.vmap(partial(problems.adding, length=config.length)))(keys)
    index = {"index": np.arange(TEST_SEQUENCES, dtype=np.int32)}
    return Experiment(
        name=config.name,
        dataset=f"the adding problem, length {config.length}",
        task=lambda config: problems.adding_task(
            model,
            optimizer.transformation(config),
            length=config.length,
            batch_size=config.batch_size,
        ),
        feed=feed.empty(),
        placement=placement,
        headline=("loss",),
        test=feed.examples(index, 500, placement.batch_multiple),
        baselines=(lambda: {"always 1": {"loss": float(np.mean((target - 1) ** 2))}})
        if config.baselines
        else None,
        draw=partial(_draw, config, x[:64], lambda y: problems.squared_error(y, target[:64])),
        analyze=_analyze,
    )


def _images(config: Config) -> Experiment:
    placement = session.placement(config)
    full = load_images(config.dataset, config.data_dir, quiet=config.quiet)
    data = in_memory_images(
        full, config.batch_size, validation=config.validation, multiple=placement.batch_multiple
    )
    sequences = problems.rows if config.probe == "digits_rows" else problems.pixels
    few = {name: jnp.asarray(values[:64]) for name, values in data.test_images.items()}
    x, _ = sequences(few)
    model = network(config, len(data.classes))
    return Experiment(
        name=config.name,
        dataset=f"{data.name}, {config.probe.removeprefix('digits_')} as sequences of {x.shape[1]}",
        task=lambda config: problems.classification_task(
            model, optimizer.transformation(config), shape=x.shape[1:], sequences=sequences
        ),
        feed=data.train,
        placement=placement,
        headline=("accuracy", "loss"),
        data=data.record,
        validation=data.validation,
        choose_by="max:accuracy",
        test=data.test,
        notes=data.notes,
        baselines=partial(image_baselines, full.train, full.test) if config.baselines else None,
        draw=partial(_draw, config, x, lambda logits: softmax_loss(logits, few["label"])),
        analyze=_analyze,
    )


def _analyze(run: Run, metrics: dict[str, np.ndarray], baselines: dict[str, Any]) -> Analysis:
    """The baselines that are at least as good as the network; whether it solves the problem."""
    del run
    lines = []
    for name, scores in baselines.items():
        metric, theirs = next(iter(scores.items()))
        ours = float(metrics[metric].mean())
        if ours >= theirs if metric == "loss" else ours <= theirs:
            lines.append(f"not better than {name}: {metric} {ours:.4f}, baseline {theirs:.4f}")
    if "accuracy" not in metrics:
        loss = float(metrics["loss"].mean())
        word = "solved" if loss < SOLVED else "not solved"
        lines.append(f"{word}: squared error {loss:.4f} (solved below {SOLVED})")
    return Analysis({}, tuple(lines))


def _draw(
    config: Config,
    x: Array,
    loss: Callable[[Array], Array],
    run: Run,
    sums: Sums,
    folder: Path,
) -> None:
    """Gradient norms over time, initial and trained, and the gates over one sequence.

    x: test sequences [B, T, I]. loss: outputs [B, N] -> [B].
    """
    del sums

    def norms_of(model, params):
        stack = {"params": params["stack"]}
        outputs_of = partial(model.apply, {"params": params}, method="outputs_of")
        return gradient_norms(model.stack, stack, x, lambda h: loss(outputs_of(h)))

    @jax.jit
    def inspect(params):
        norms, outputs, name = {}, params["head"]["bias"].shape[0], config.cell.upper()
        for cell in CELLS:
            model = network(config, outputs, cell)
            initial = model.init(jax.random.key(config.seed), x)["params"]
            norms[f"{cell.upper()}, initial"] = norms_of(model, initial)
        model = network(config, outputs)
        norms[f"{name}, trained"] = norms_of(model, params)
        layer = model.stack.layer(config.features)
        return norms, gates(layer, {"params": params["stack"]["forward_0"]}, x[:1])

    params = jax.tree.map(lambda leaf: leaf[0], run.states).variables()["params"]
    norms, activations = inspect(params)
    plots.recurrent.gradient_reach(norms, folder / "gradient_reach.png")
    activations = {gate: np.asarray(values[0]) for gate, values in activations.items()}
    title = f"The first {config.cell.upper()} layer over one test sequence"
    plots.recurrent.gates(activations, x[0], folder / "gates.png", title)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


def run(config: Config) -> None:
    """What the command line does."""
    train(config)
