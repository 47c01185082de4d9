"""What a recurrent network can remember: the adding problem, and digits read piece by piece.

    python -m experiments.sequence_probes                         # adding problem, length 200, GRU
    python -m experiments.sequence_probes --cell=rnn              # which a plain RNN does not solve
    python -m experiments.sequence_probes --probe=digits_pixels   # 64 pixels, one after the other
    python -m experiments.sequence_probes --probe=digits_rows --dataset=tfds:mnist --data_dir=DIR

With the defaults and 3 seeds the squared error of the adding problem ended at 0.0003 ± 0.0002 for
GRU, 0.0034 ± 0.0021 for LSTM and 0.1586 ± 0.0014 for a plain RNN; always to answer 1 has 0.1608.
A seed takes two minutes on two cores. Of digits, read by a GRU in rows 0.984 ± 0.003 were right,
in pixels 0.941 ± 0.014 (LSTM 0.962 ± 0.014, RNN 0.942 ± 0.005); 3 nearest neighbours have 0.981.

The pictures that it leaves show how far back the gradient of the end reaches, for each kind of
cell, and what the gates of the trained one do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import base, optimization, sweep

if TYPE_CHECKING:
    from experiments.session import Experiment, Outcome

CELLS = ("rnn", "lstm", "gru")
TEST_SEQUENCES = 2000  # of the adding problem
SOLVED = 0.01  # squared error


@dataclass(frozen=True, kw_only=True)
class Config(optimization.Config):
    """The flags of the probes; the defaults are tuned for the adding problem."""

    workdir: str = base.field("runs/sequence_probes", "folder of the run", path=True, resume=False)
    dataset: str = base.field("digits", "images to read: digits, tfds:NAME, a folder", path=True)
    steps: int = base.field(2000, "training steps", minimum=1)
    batch_size: int = base.field(64, "sequences in a step", minimum=1)
    learning_rate: float = base.field(3e-3, "highest learning rate of the schedule", minimum=0)
    weight_decay: float = base.field(0.0, "weight decay (of kernels alone)", minimum=0)
    clip_norm: float = base.field(1.0, "largest norm of the gradient; 0: no clipping", minimum=0)

    probe: str = base.field("adding", "problem", choices=("adding", "digits_rows", "digits_pixels"))
    length: int = base.field(200, "length of the adding problem's sequences", minimum=2)
    cell: str = base.field("gru", "kind of layer", choices=CELLS)
    features: int = base.field(64, "units of a layer", minimum=1)
    depth: int = base.field(1, "layers above each other", minimum=1)
    dropout: float = base.field(0.0, "dropout between layers", minimum=0, maximum=0.9)
    validation: float = base.field(
        0.1, "share of the training images held out to choose by", minimum=0, maximum=0.9
    )
    baselines: bool = base.field(True, "score simple methods too", resume=False)


def network(config: Config, outputs: int, cell: str | None = None) -> Any:
    """The Flax module of a Config, or the same with another kind of layer."""
    import jax.numpy as jnp

    from dljax.nn import recurrent
    from dljax.rnn.probes import Reader

    stack = recurrent.Stack(
        config.features,
        config.depth,
        getattr(recurrent, (cell or config.cell).upper()),
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
    from dljax.train.parallel import place

    return place(
        config.parallel,
        batch_size=config.batch_size,
        num_seeds=sweep.count(config),
        seeds_by=config.seeds_by,
    )


def _adding(config: Config) -> Experiment:
    import jax
    import numpy as np

    from dljax.data import feed
    from dljax.rnn import probes
    from experiments.session import Experiment

    placement, model = _placement(config), network(config, 1)
    root = jax.random.key(probes.TEST)
    keys = jax.vmap(lambda i: jax.random.fold_in(root, i))(np.arange(TEST_SEQUENCES))
    x, target = jax.jit(jax.vmap(partial(probes.adding, length=config.length)))(keys)
    index = {"index": np.arange(TEST_SEQUENCES, dtype=np.int32)}
    return Experiment(
        name="sequence_probes",
        dataset=f"the adding problem, length {config.length}",
        task=lambda config: probes.adding_task(
            model,
            optimization.transformation(config),
            length=config.length,
            batch_size=config.batch_size,
        ),
        feed=feed.nothing(),
        placement=placement,
        test=feed.examples(index, 500, placement.batch_multiple),
        baselines=(lambda: {"always 1": {"loss": float(np.mean((target - 1) ** 2))}})
        if config.baselines
        else None,
        draw=partial(_draw, config, x[:64], lambda y: probes.squared_error(y, target[:64])),
        conclude=_conclude,
    )


def _images(config: Config) -> Experiment:
    import jax.numpy as jnp
    import numpy as np

    from dljax.cnn.baselines import image_baselines
    from dljax.data.images import in_memory_images
    from dljax.data.sources import load_images
    from dljax.rnn import probes
    from dljax.train.metrics import softmax_loss
    from experiments.session import Experiment

    placement = _placement(config)
    full = load_images(config.dataset, config.data_dir, quiet=config.quiet)
    data = in_memory_images(
        full, config.batch_size, validation=config.validation, multiple=placement.batch_multiple
    )
    sequences = probes.rows if config.probe == "digits_rows" else probes.pixels
    few = {name: jnp.asarray(values[:64]) for name, values in data.shown.items()}
    x, _ = sequences(few)
    model = network(config, len(data.classes))
    return Experiment(
        name="sequence_probes",
        dataset=f"{data.name}, {config.probe.removeprefix('digits_')} as sequences of {x.shape[1]}",
        task=lambda config: probes.classification_task(
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
    from experiments.session import Conclusion

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
    import jax
    import numpy as np

    from dljax.plots import learning_curves, recurrent
    from dljax.rnn.inspection import gates, gradient_norms
    from dljax.train.report import read_metrics

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
    recurrent.gradient_reach(norms, folder / "gradient_reach.png")
    activations = {gate: np.asarray(values[0]) for gate, values in activations.items()}
    title = f"The first {config.cell.upper()} layer over one test sequence"
    recurrent.gates(activations, x[0], folder / "gates.png", title)


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    from experiments import session

    return session.train(config, build(config))


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        raise ValueError("the probes have nothing to predict: leave --predict out")
    train(config)


if __name__ == "__main__":
    base.main(run, Config, __doc__)
