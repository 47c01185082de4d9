"""What a recurrent network can remember: the adding problem, and digits read piece by piece."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dljax.apps.configs.sequence_probes import Config
from dljax.cnn.classification.baselines import image_baselines
from dljax.data import feed
from dljax.data.images import in_memory_images
from dljax.data.sources import load_images
from dljax.nn.recurrent import layers
from dljax.plots import learning_curves
from dljax.rnn.probes import problems
from dljax.rnn.probes.inspection import gates, gradient_norms
from dljax.rnn.probes.problems import Reader
from dljax.run import session, sweep
from dljax.run.session import Conclusion, Experiment, Outcome
from dljax.train.metrics import softmax_loss
from dljax.train.parallel import place
from dljax.train.report import read_metrics

TEST_SEQUENCES = 2000  # of the adding problem
SOLVED = 0.01  # squared error


def network(config: Config, outputs: int, cell: str | None = None) -> Any:
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


def _placement(config: Config) -> Any:

    return place(
        config.parallel,
        batch_size=config.batch_size,
        num_seeds=sweep.count(config),
        vectorize_seeds=config.vectorize_seeds,
    )


def _adding(config: Config) -> Experiment:

    placement, model = _placement(config), network(config, 1)
    root = jax.random.key(problems.TEST)
    keys = jax.vmap(lambda i: jax.random.fold_in(root, i))(np.arange(TEST_SEQUENCES))
    x, target = jax.jit(jax.vmap(partial(problems.adding, length=config.length)))(keys)
    index = {"index": np.arange(TEST_SEQUENCES, dtype=np.int32)}
    return Experiment(
        name="sequence_probes",
        dataset=f"the adding problem, length {config.length}",
        task=lambda config: problems.adding_task(
            model,
            optimization.transformation(config),
            length=config.length,
            batch_size=config.batch_size,
        ),
        feed=feed.empty(),
        placement=placement,
        test=feed.examples(index, 500, placement.batch_multiple),
        baselines=(lambda: {"always 1": {"loss": float(np.mean((target - 1) ** 2))}})
        if config.baselines
        else None,
        draw=partial(_draw, config, x[:64], lambda y: problems.squared_error(y, target[:64])),
        conclude=_conclude,
    )


def _images(config: Config) -> Experiment:

    placement = _placement(config)
    full = load_images(config.dataset, config.data_dir, quiet=config.quiet)
    data = in_memory_images(
        full, config.batch_size, validation=config.validation, multiple=placement.batch_multiple
    )
    sequences = problems.rows if config.probe == "digits_rows" else problems.pixels
    few = {name: jnp.asarray(values[:64]) for name, values in data.test_images.items()}
    x, _ = sequences(few)
    model = network(config, len(data.classes))
    return Experiment(
        name="sequence_probes",
        dataset=f"{data.name}, {config.probe.removeprefix('digits_')} as sequences of {x.shape[1]}",
        task=lambda config: problems.classification_task(
            model,
            optimization.transformation(config),
            shape=x.shape[1:],
            sequences=sequences,
        ),
        feed=data.train,
        placement=placement,
        validation=data.validation,
        test=data.test,
        score=lambda values: float(np.nanmean(values["accuracy"])),
        notes=data.notes,
        baselines=partial(image_baselines, full.train, full.test) if config.baselines else None,
        draw=partial(_draw, config, x, lambda logits: softmax_loss(logits, few["label"])),
        conclude=_conclude,
    )


def _conclude(run: Any, metrics: dict[str, Any], baselines: dict[str, Any]) -> Any:
    """Which simple methods the network does not beat, and whether it can add, in words."""
    lines = []
    for name, scores in baselines.items():
        metric, theirs = next(iter(scores.items()))
        ours = float(metrics[metric].mean())
        if ours >= theirs if metric == "loss" else ours <= theirs:
            lines.append(f"not better than {name}: {metric} {ours:.4f} against {theirs:.4f}")
    if "accuracy" not in metrics:
        loss = float(metrics["loss"].mean())
        word = "solved" if loss < SOLVED else "not solved"
        lines.append(f"{word}: squared error {loss:.4f}, where {SOLVED} counts as solved")
    return Conclusion({}, tuple(lines))


def _draw(config: Config, x: Any, loss: Any, run: Any, sums: Any, folder: Path) -> None:
    """Learning curves; the gradient's reach at the beginning and now; the gates of one sequence.

    x: test sequences [B, T, I]. loss: outputs [B, N] -> [B].
    """

    def reach(model, params):
        stack = {"params": params["stack"]}
        answer = partial(model.apply, {"params": params}, method="answer")
        return gradient_norms(model.stack, stack, x, lambda h: loss(answer(h)))

    @jax.jit
    def looked_at(params):
        norms, outputs, name = {}, params["head"]["bias"].shape[0], config.cell.upper()
        for cell in CELLS:
            model = network(config, outputs, cell)
            initial = model.init(jax.random.key(config.seed), x)["params"]
            norms[f"{cell.upper()}, initial"] = reach(model, initial)
        model = network(config, outputs)
        norms[f"{name}, trained"] = reach(model, params)
        layer = model.stack.layer(config.features)
        return norms, gates(layer, {"params": params["stack"]["forward_0"]}, x[:1])

    params = jax.tree.map(lambda leaf: leaf[0], run.states).variables()["params"]
    norms, activations = looked_at(params)
    folder.mkdir(parents=True, exist_ok=True)
    learning_curves(read_metrics(folder.parent), folder / "learning_curves.png")
    layers.gradient_reach(norms, folder / "gradient_reach.png")
    activations = {gate: np.asarray(values[0]) for gate, values in activations.items()}
    title = f"The first {config.cell.upper()} layer over one test sequence"
    layers.gates(activations, x[0], folder / "gates.png", title)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build(config))


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        raise ValueError("the probes have nothing to predict: leave --predict out")
    train(config)
