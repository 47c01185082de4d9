"""Classification of texts: training, a baseline of word counts, predictions."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from dljax import plots
from dljax.apps.configs.text_classification import Config
from dljax.data import feed
from dljax.data import tokens as vocabularies
from dljax.data.record import DataRecord
from dljax.data.sources.cache import crc
from dljax.data.sources.dataset import split
from dljax.data.sources.labelled_text import Labelled, load_labelled, texts_of, to_score
from dljax.data.tokens import Tokens
from dljax.nn.language import TextClassifier
from dljax.nn.recurrent import layers
from dljax.nn.recurrent.linear import MinGRU
from dljax.rnn.language import classification
from dljax.run import optimizer, session
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.run.workdirs import predictions_folder
from dljax.train import export, temperature
from dljax.train.export import Field, Serving
from dljax.train.files import replace
from dljax.train.loop import Run, Sums, Task
from dljax.train.parallel import place

LAYERS = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU, "mingru": MinGRU}
BATCH = 128  # texts in an evaluation batch
HEADLINE = ("accuracy", "loss")


def network(config: Config, tokens: Tokens, classes: int) -> TextClassifier:
    """The Flax module of a Config."""
    stack = layers.Stack(
        config.features,
        config.depth,
        LAYERS[config.model],
        bidirectional=config.bidirectional,
        dropout=config.dropout,
        dtype=jnp.dtype(config.dtype),
    )
    return TextClassifier(len(tokens.names), classes, stack, config.embedding, config.dropout)


def make_task(config: Config, tokens: Tokens, classes: int) -> Task:
    """The Task of a Config."""
    return classification.task(network(config, tokens, classes), optimizer.transformation(config))


def build(config: Config) -> Experiment:
    """The texts, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    data = load_labelled(
        config.dataset, text=config.text_column, label=config.label_column, test=config.test
    )
    labels = np.array(data.train.labels, np.int32)
    rest, held = {"label": labels, "text": np.arange(len(labels))}, None
    if config.validation:
        rest, held = split(rest, config.validation)
    texts = [data.train.texts[i] for i in rest["text"]]
    tokens = vocabularies.make(config.tokens, "".join(texts), config.vocabulary)
    arrays = partial(classification.padded, tokens, longest=config.longest)
    train = {**arrays(texts), "label": rest["label"]}
    test = {**arrays(data.test.texts), "label": np.array(data.test.labels, np.int32)}
    validation = held and {
        **arrays([data.train.texts[i] for i in held["text"]]),
        "label": held["label"],
    }
    batch = feed.common_batch(BATCH, *(len(part["label"]) for part in (validation, test) if part))
    examples = partial(feed.examples, batch_size=batch, multiple=placement.batch_multiple)
    return Experiment(
        name=config.name,
        dataset=f"{config.dataset}, {len(data.classes)} classes",
        task=lambda config: make_task(config, tokens, len(data.classes)),
        feed=feed.in_memory(train, config.batch_size),
        placement=placement,
        headline=HEADLINE,
        data=record(data, tokens),
        validation=examples(validation) if validation else None,
        choose_by="max:accuracy",
        use_best=True,
        test=examples(test),
        metadata={"tokens": tokens.saved, "classes": data.classes},
        notes=(*data.notes, cut(train["length"], config.longest)),
        baselines=partial(
            classification.baselines, texts, rest["label"], data.test.texts, test["label"]
        )
        if config.baselines
        else None,
        draw=partial(draw, data.classes),
        summarise=classification.summarise,
        analyze=analyze,
    )


def record(data: Labelled, tokens: Tokens) -> DataRecord:
    """What was read."""
    parts = {"train": data.train, "test": data.test}
    counts = np.bincount(data.train.labels + data.test.labels, minlength=len(data.classes))
    content = {
        name: "\0".join(part.texts).encode("utf-8", errors="surrogateescape")
        for name, part in parts.items()
    }
    digests = {
        name: f"{crc(np.frombuffer(content[name], np.uint8)):08x} {crc(np.array(part.labels)):08x}"
        for name, part in parts.items()
    }
    summary = {
        "texts": {name: len(part.texts) for name, part in parts.items()},
        "classes": dict(zip(data.classes, counts.tolist(), strict=True)),
    }
    derived = {"order of classes": list(data.classes), "vocabulary": vocabularies.digest(tokens)}
    return DataRecord(summary, digests, derived)


def cut(lengths: np.ndarray, longest: int) -> str:
    """A note on how many texts are cut off."""
    share = float(np.mean(lengths == longest))
    return f"texts of up to {lengths.max()} tokens; {100 * share:.1f} % end at --longest={longest}"


def analyze(run: Run, metrics: dict[str, np.ndarray], baselines: dict[str, Any]) -> Analysis:
    """The temperatures, and the baselines that are at least as good as the network."""
    del run
    fitted = temperature.choose(metrics)
    ours = float(metrics["accuracy"].mean())
    lines = [
        f"not better than {name}: accuracy {ours:.4f}, baseline {scores['accuracy']:.4f}"
        for name, scores in baselines.items()
        if scores["accuracy"] >= ours
    ]
    metadata = {"temperatures": fitted.temperatures}
    return Analysis({}, (fitted.line, *lines), metadata, metrics=fitted.metrics)


def draw(classes: tuple[str, ...], run: Run, sums: Sums, folder: Path) -> None:
    """The confusion matrix, summed over seeds."""
    del run
    counts = np.asarray(sums["confusion"][0]).sum(0)
    plots.confusion_matrix(counts, classes, folder / "confusion.png")


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


def column(config: Config, trained: Config, name: str) -> str:
    """The column that a flag names: the command line's if it was given, else that of the run."""
    given = getattr(config, name)
    return getattr(trained, name) if given == getattr(Config(), name) else given


def serving(config: Config) -> Serving:
    """The classifier of the run in config.workdir, the mean over its seeds, for export."""
    calibrate = config.calibrate
    config, metadata = session.saved(config)
    tokens, classes = vocabularies.load(metadata["tokens"]), tuple(metadata["classes"])
    model = network(config, tokens, len(classes))
    run, step = session.restore(config, make_task(config, tokens, len(classes)), place("none"))
    states = run.states.without_optimiser()
    temperatures = metadata.get("temperatures", ()) if calibrate else ()
    inputs = {
        "tokens": Field((config.longest,), "int32", 0, len(tokens.names) - 1, about="0 first"),
        "length": Field((), "int32", 1, config.longest, about="real tokens; the rest is padding"),
    }
    outputs = {"probability": Field((len(classes),), names=classes)}
    return Serving(
        lambda weights, batch: {
            "probability": classification.mean_probability(model, weights, batch)
        },
        temperature.with_temperatures(states, temperatures),
        inputs,
        outputs,
        {"step": step, "tokens": tokens.saved},
    )


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Classifies a text file, or each row of a table, with the run in config.workdir.

    Writes workdir/predictions/NAME.csv. Returns a dict a text: text, label, probability.
    """
    model, asked = serving(config), config
    config, metadata = session.saved(config)
    tokens = vocabularies.load(metadata["tokens"])
    texts = texts_of(Path(path), column(asked, config, "text_column"))
    found = classification.padded(tokens, texts, config.longest)
    width = config.longest - found["tokens"].shape[1]
    found["tokens"] = np.pad(found["tokens"], ((0, 0), (0, width)))
    probability = export.answers(model, found)["probability"]
    classes, best = metadata["classes"], probability.argmax(-1)
    rows = [
        {"text": text, "label": classes[i], "probability": float(p[i])}
        for text, i, p in zip(texts, best, probability, strict=True)
    ]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ("label", "probability", "text"))
    writer.writeheader()
    writer.writerows(rows)
    target = predictions_folder(config.workdir, path) / f"{Path(path).stem}.csv"
    replace(target, out.getvalue().encode("utf-8", errors="surrogateescape"))
    for row in rows[:10]:
        print(f"{row['label']} {row['probability']:.3f}: {row['text'][:70]!r}")
    print(f"{len(rows)} texts; checkpoint of step {model.metadata['step']}; {target}")
    return rows


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on other labelled texts; see `session.evaluate`.

    All texts of a table or folder count, of a folder with train/ and test/ those of test. Raises
    ValueError for a class that the run does not know.
    """
    asked = config
    config, metadata = session.saved(config)
    columns = {x: column(asked, config, f"{x}_column") for x in ("text", "label")}
    tokens, classes = vocabularies.load(metadata["tokens"]), metadata["classes"]
    part, notes = to_score(dataset, classes, **columns)
    for note in notes:
        print(note)
    arrays = classification.padded(tokens, part.texts, config.longest)
    return session.evaluate(
        config,
        make_task(config, tokens, len(classes)),
        feed.examples({**arrays, "label": np.array(part.labels, np.int32)}, BATCH),
        data=dataset,
        headline=HEADLINE,
        summarise=partial(
            temperature.at_those, metadata.get("temperatures", ()), classification.summarise
        ),
    )


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
