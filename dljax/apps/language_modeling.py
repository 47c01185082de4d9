"""Language models: training, n-gram baselines, continuation of a prompt, scores of a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dljax import plots
from dljax.apps.configs.language_modeling import Config
from dljax.data import text as text_data
from dljax.data import tokens as vocabularies
from dljax.data.record_kinds import text_record
from dljax.data.sources.text import load_text, read
from dljax.data.text import Split
from dljax.data.tokens import Tokens
from dljax.nn.language import RecurrentLM
from dljax.nn.recurrent import layers
from dljax.nn.recurrent.linear import MinGRU
from dljax.nn.transformer import TransformerLM
from dljax.rnn.language import inspection, modeling, ngrams, sampling, scoring
from dljax.run import optimizer, session
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.run.workdirs import predictions_folder
from dljax.train.export import Serving
from dljax.train.loop import Run, Sums, Task
from dljax.train.parallel import place

LAYERS = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU, "mingru": MinGRU}
STREAMS = 32  # that validation and test part are scored in
ORDERS = 6  # of the n-gram models
DISCOUNT = 0.75  # of those with one discount
SAMPLED = 400  # characters of the samples in a run's report


def network(config: Config, tokens: Tokens) -> Any:
    """The language model that --model names."""
    dtype, vocabulary = jnp.dtype(config.dtype), len(tokens.names)
    if config.model == "transformer":
        return TransformerLM(
            vocabulary, config.features, config.depth, config.heads, config.memory,
            config.dropout, dtype,
        )  # fmt: skip
    stack = layers.Stack(
        config.features,
        config.depth,
        LAYERS[config.model],
        dropout=config.dropout,
        variational=config.variational,
        residual=config.residual,
        norm=config.norm,
        dtype=dtype,
    )
    return RecurrentLM(vocabulary, stack, config.tied, config.norm, config.dropout)


def make_task(config: Config, tokens: Tokens) -> Task:
    """The Task of a Config."""
    return modeling.task(
        network(config, tokens),
        optimizer.transformation(config),
        tokens,
        config.batch_size,
        config.bptt,
        sample=sampling.Sample(SAMPLED, config.temperature),
    )


def build(config: Config) -> Experiment:
    """The text, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for a text that can't be used.
    """
    placement = session.placement(config)
    raw = config.tokens == "bytes"
    text = load_text(config.dataset, column=config.text_column, raw=raw)
    parts = text_data.split(text.documents, config.validation, config.test)
    tokens = vocabularies.make(config.tokens, "".join(parts.train), config.vocabulary)
    ids = {name: text_data.encoded(tokens, part) for name, part in parts._asdict().items() if part}
    if config.baselines and len(ids["train"]) < ORDERS:
        raise ValueError(
            f"the training part has {len(ids['train'])} tokens, too few for n-grams of the orders "
            f"1 to {ORDERS}: take a longer text, or --baselines=false"
        )
    scored = partial(
        text_data.examples,
        count=STREAMS,
        multiple=modeling.CHUNK,
        batch_multiple=placement.batch_multiple,
    )
    record = text_record(parts._asdict(), len(text.documents), text.notes)
    return Experiment(
        name=config.name,
        dataset=f"{config.dataset}, {len(tokens.names)} tokens",
        task=lambda config: make_task(config, tokens),
        feed=text_data.feed(ids["train"], config.batch_size, config.bptt),
        placement=placement,
        headline=("nats", "bits", "loss"),
        data=record.deriving(vocabulary=vocabularies.digest(tokens)),
        validation=scored(ids["validation"]) if parts.validation else None,
        choose_by="min:nats",
        use_best=True,
        test=scored(ids["test"]),
        summarise=modeling.summarise,
        metadata={"tokens": tokens.saved},
        notes=notes(parts, tokens, ids),
        baselines=partial(baselines, tokens, ids) if config.baselines else None,
        draw=partial(draw, config, tokens, parts.test[-1]),
        analyze=analyze,
        eval_callback=partial(save_sample, tokens),
    )


def notes(parts: Split, tokens: Tokens, ids: dict[str, np.ndarray]) -> tuple[str, ...]:
    """How the text was split, and what the training part lacks."""
    shown = ", ".join(f"{name} {sum(map(len, x))}" for name, x in parts._asdict().items() if x)
    lines = [f"split by position, characters in this order: {shown}"]
    if tokens.kind == "characters":
        known = set(tokens.names)
        lines += [
            f"{name}: {int((ids[name] == vocabularies.UNKNOWN).sum())} characters never occur in "
            f"training and count as unknown: {scoring.listed(set(''.join(part)) - known)}"
            for name, part in list(parts._asdict().items())[1:]
            if set("".join(part)) - known
        ]
    else:
        each = {n: sum(map(len, getattr(parts, n))) / len(x) for n, x in ids.items()}
        shown = ", ".join(f"{name} {value:.2f}" for name, value in each.items())
        lines.append(f"{len(tokens.names)} tokens of {tokens.kind}; characters a token: {shown}")
    return tuple(lines)


def baselines(tokens: Tokens, ids: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Nats a character of the test part by Kneser-Ney n-grams of the training part, and their size.

    Of the orders 1 to 6 with the discount 0.75, and of the last with those estimated from the data.
    """
    model = ngrams.count(ids["train"], len(tokens.names), ORDERS)
    count = tokens.characters[ids["test"]].sum()
    wanted = [(order, DISCOUNT, "Kneser-Ney") for order in range(1, ORDERS + 1)]
    found = {}
    for order, discount, name in [*wanted, (ORDERS, None, "modified Kneser-Ney")]:
        losses = ngrams.log_losses(model, ids["test"], order, discount)
        nats = float(losses[1:].sum() / count)  # the first one is the border before the text
        name = f"{name}, order {order} ({model.size(order)} n-grams)"
        found[name] = {"nats": nats, "bits": nats / np.log(2)}
    return found


def analyze(run: Run, metrics: dict[str, np.ndarray], baselines: dict[str, Any]) -> Analysis:
    """Where the network lies among the n-gram models."""
    del run
    ours = float(metrics["nats"].mean())
    lines = [
        f"not better than {name}: {ours:.4f} nats a character, baseline {scores['nats']:.4f}"
        for name, scores in baselines.items()
        if scores["nats"] <= ours
    ]
    return Analysis({}, tuple(lines))


def save_sample(tokens: Tokens, step: int, sums: Sums, folder: Path) -> None:
    """Writes what the first seed sampled in an evaluation to folder/STEP.txt."""
    drawn, count = (np.asarray(x)[0] for x in sums["sample"])
    folder.mkdir(parents=True, exist_ok=True)
    text = tokens.decode(np.round(drawn / count).astype(int))
    (folder / f"{step:09d}.txt").write_text(text, encoding="utf-8", newline="")


def draw(config: Config, tokens: Tokens, text: str, run: Run, sums: Sums, folder: Path) -> None:
    """Samples of all evaluations in one file, and what single units follow, by the first seed."""
    save_sample(tokens, int(run.step), sums, folder.parent / "snapshots")
    snapshots = sorted((folder.parent / "snapshots").glob("*.txt"))
    lines = [
        f"==== step {int(path.stem)} ====\n{path.read_text(encoding='utf-8')}" for path in snapshots
    ]
    (folder.parent / "samples").mkdir(exist_ok=True)
    (folder.parent / "samples" / "by_step.txt").write_text("\n\n".join(lines), encoding="utf-8")
    variables = jax.tree.map(lambda x: x[0], run.states).variables()
    model = network(config, tokens)
    if tokens.kind == "characters" and config.model != "transformer":
        text = text[: inspection.CHARACTERS]
        units = inspection.follow(model, variables, tokens, text)
        plots.language.units(text, units, folder / "units.png")


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


def restored(config: Config) -> tuple[Any, dict[str, Any], Tokens, int]:
    """Of the run in config.workdir: network, variables of the first seed, tokens, step."""
    config, metadata = session.saved(config)
    tokens = vocabularies.load(metadata["tokens"])
    run, step = session.restore(config, make_task(config, tokens), place("none"))
    state = jax.tree.map(lambda x: x[0], run.states)
    return network(config, tokens), state.variables(), tokens, step


def continue_text(config: Config, prompt: str) -> str:
    """Prints the prompt and what the run in config.workdir writes after it; returns both."""
    model, variables, tokens, step = restored(config)
    if unknown := scoring.unknown(tokens, prompt):
        print(f"characters that training never had: {scoring.listed(unknown)}")
    pieces = sampling.stream(
        model, variables, tokens, prompt, config.length, jax.random.key(config.seed),
        temperature=config.temperature, top_k=config.top_k, top_p=config.top_p,
    )  # fmt: skip
    shown = scoring.printable(prompt)
    print(f"checkpoint of step {step}, temperature {config.temperature:g}\n\n{shown}", end="")
    text = prompt
    for piece in pieces:
        print(scoring.printable(piece), end="", flush=True)
        text += piece
    print()
    return text


def score(config: Config, path: str) -> list[scoring.Line]:
    """Nats of each line of a file by the run in config.workdir.

    Writes workdir/predictions/NAME.csv, and a picture of the most surprising characters.
    """
    folder = predictions_folder(config.workdir, path)
    model, variables, tokens, step = restored(config)
    text, lines = read(Path(path), tokens.kind == "bytes")
    if not text:
        raise ValueError(f"{path} is empty: nothing to score")
    nats = scoring.by_character(model, variables, tokens, text)
    rows = scoring.lines(text, nats)
    target = folder / f"{Path(path).stem}.csv"
    scoring.write(target, rows)
    if unknown := scoring.unknown(tokens, text):
        lines += (f"characters that training never had: {scoring.listed(unknown)}",)
    for line in lines:
        print(line)
    for row in sorted(rows, key=lambda row: -row.nats_per_character)[:3]:
        shown = scoring.printable(row.text[:60])
        print(f"line {row.number}: {row.nats_per_character:.3f} nats a character: {shown}")
    total = float(nats.sum())
    print(
        f"{path}: {total:.1f} nats in {len(text)} characters, {total / len(text):.4f} each; "
        f"checkpoint of step {step}; {target}"
    )
    if config.plots:
        plots.language.surprise(scoring.printable(text), nats, target.with_suffix(".png"))
    return rows


def serving(config: Config) -> Serving:
    """One step of the run in config.workdir: token and carries -> logits and next carries."""
    model, variables, tokens, step = restored(config)
    return scoring.serving(model, variables, tokens, {"step": step})


def run(config: Config) -> None:
    """What the command line does."""
    if config.prompt is not None:
        continue_text(config, config.prompt)
    elif config.score:
        score(config, config.score)
    else:
        train(config)
