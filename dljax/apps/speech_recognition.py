"""Speech recognition: single words by a classifier, strings and sentences by CTC."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax import plots
from dljax.apps.configs.speech_recognition import Config
from dljax.apps.speech import analysis, prediction, transcription
from dljax.apps.speech.data import (
    EVALUATION_BATCH,
    SpeechData,
    load,
    reference,
    spectrum,
    tokenize,
    unknown_note,
    with_plain_texts,
)
from dljax.apps.speech.training import front, make_task, network
from dljax.apps.speech.transcription import Recogniser
from dljax.data import utterances
from dljax.data.sources.sound import Recordings, speech_to_score
from dljax.rnn.speech import baselines, error_rates, ngram
from dljax.rnn.speech import front as fronts
from dljax.rnn.speech.decoding import Decoding
from dljax.rnn.speech.features import Statistics
from dljax.run import session
from dljax.run.experiment import Experiment, Outcome
from dljax.train.export import Field, Serving
from dljax.train.loop import Array, Run, Sums, Task, one_seed
from dljax.train.parallel import place
from dljax.train.supervised import State

WORDS, STRINGS = ("accuracy", "loss"), ("wer", "cer", "error_rate", "loss")
DRAWN_CLASSES = 40  # in a confusion matrix, at most


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    data = load(config, placement.batch_multiple)
    statistics = fronts.statistics(spectrum(config, data.rate), data.train.waves)
    features = front(config, data.words, data.rate, statistics)
    model = network(config, data.words, len(data.symbols))
    language = _language(config, data)
    recogniser = Recogniser(model, features, data.words, data.symbols, data.characters, language)
    lengths = () if placement.vmap else data.lengths

    def draw(run: Run, sums: Sums, folder: Path) -> None:
        del run
        if data.words and len(data.symbols) <= DRAWN_CLASSES:
            plots.confusion_matrix(sums["confusion"][0], data.symbols, folder / "confusion.png")

    def analyze(run: Run, metrics: dict, baselines: dict):
        del metrics, baselines
        if data.words:
            return analysis.words(recogniser, run, data)
        return analysis.strings(config, recogniser, run, data)

    return Experiment(
        name=config.name,
        dataset=_described(data),
        task=lambda config: make_task(
            config, model, features, data.words, len(data.symbols), lengths
        ),
        feed=data.feed,
        placement=placement,
        headline=WORDS if data.words else STRINGS,
        data=data.record.deriving(mean=statistics.mean, std=statistics.std),
        validation=data.validation_examples,
        choose_by="max:accuracy" if data.words else "min:error_rate",
        use_best=True,
        test=data.test_examples,
        metadata={
            "classify": data.words,
            "symbols": data.symbols,
            "characters": data.characters,
            "rate": data.rate,
            "longest": data.longest,
            "mean": statistics.mean,
            "std": statistics.std,
            "language": _texts(language, data),
        },
        notes=data.notes,
        baselines=_baselines(data, recogniser) if config.baselines else None,
        draw=draw,
        analyze=analyze,
    )


def _described(data: SpeechData) -> str:
    parts = ("training", data.train), ("validation", data.validation), ("test", data.test)
    counts = ", ".join(f"{len(part)} {name}" for name, part in parts)
    kind = f"{len(data.symbols)} words" if data.words else f"{len(data.symbols) - 1} symbols"
    return f"{data.name} ({counts} recordings, {kind}, {data.rate} Hz)"


def _language(config: Config, data: SpeechData) -> ngram.NGram | None:
    """The n-gram model of the training texts; strings that were joined at random have none."""
    if data.words or data.single or not config.lm_order or not config.beam:
        return None
    return ngram.fit(data.tokens(data.train.texts), config.lm_order, len(data.symbols))


def _texts(language: ngram.NGram | None, data: SpeechData) -> dict[str, Any] | None:
    """What the n-gram model is made of again: its order and the training texts."""
    return language and {"order": language.order, "texts": data.train.texts}


def _baselines(data: SpeechData, recogniser: Recogniser):
    if data.words:
        return partial(baselines.mfcc_svm, data.train, data.test, recogniser.front.spectrum)
    if data.single:
        return partial(analysis.segment_baseline, data, recogniser)
    return None


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


class Trained(NamedTuple):
    """A trained recogniser and the States of its seeds [seeds, ...].

    config: of its run. how: the decoding that validation has chosen. longest: samples of the
    longest recording that it was trained on. step: of the checkpoint.
    """

    config: Config
    recogniser: Recogniser
    task: Task
    states: State
    how: Decoding
    longest: int
    step: int


def load_trained(workdir: str) -> Trained:
    """The recogniser of a run: its best checkpoint, the newest if none was scored.

    Raises FileNotFoundError or ValueError, in one line, where there is none.
    """
    config, metadata = session.saved(Config(workdir=workdir))
    symbols, classify = tuple(metadata["symbols"]), metadata["classify"]
    mean, std = (np.asarray(metadata[name], np.float32) for name in ("mean", "std"))
    features = front(config, classify, metadata["rate"], Statistics(mean, std))
    model = network(config, classify, len(symbols))
    task = make_task(config, model, features, classify, len(symbols))
    run, step = session.restore(config, task, place("none"))
    characters, language = metadata["characters"], None
    if found := metadata["language"]:
        tokens = tokenize(found["texts"], symbols, characters)
        language = ngram.fit(tokens, found["order"], len(symbols))
    recogniser = Recogniser(model, features, classify, symbols, characters, language)
    how = Decoding(**metadata.get("decoding", {"beam": config.beam}))
    return Trained(config, recogniser, task, run.states, how, metadata["longest"], step)


def serving(config: Config) -> Serving:
    """What the run in config.workdir answers a recording with, to export; by its first seed."""
    found = load_trained(config.workdir)
    recogniser, rate = found.recogniser, found.recogniser.front.spectrum.rate

    def function(state: State, inputs: dict[str, Array]) -> dict[str, Array]:
        sound, samples = inputs["sound"].astype(jnp.float32), inputs["samples"]
        log_p, frames = transcription.answer(recogniser, state, sound, samples)
        if recogniser.classify:
            return {"probability": jnp.exp(log_p)}
        return {"log_probability": log_p, "frames": frames.astype(jnp.int32)}

    weights = one_seed(found.states.without_optimiser(), 0)
    inputs = {
        "sound": Field(
            (found.longest,), "int16", about=f"mono, {rate} Hz; zeros after the recording"
        ),
        "samples": Field((), "int32", 1, found.longest, about="length of the recording"),
    }
    shapes = {n: jax.ShapeDtypeStruct((1, *x.shape), x.dtype) for n, x in inputs.items()}
    main = "probability" if recogniser.classify else "log_probability"
    shape = jax.eval_shape(function, weights, shapes)[main].shape[1:]
    if recogniser.classify:
        outputs = {"probability": Field(shape, names=recogniser.symbols, about="of each word")}
    else:
        outputs = {
            "log_probability": Field(
                shape, names=recogniser.symbols, about="of CTC's symbols in each frame"
            ),
            "frames": Field((), "int32", about="how many frames count"),
        }
    return Serving(function, weights, inputs, outputs, {"step": found.step, "rate": rate})


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Recognises a recording or a folder of recordings with the run in config.workdir.

    By the first seed. Writes predictions.csv and, for the first recordings, pictures to
    workdir/predictions/. Returns a dict a recording: file, seconds, and text or label.
    """
    found = load_trained(config.workdir)
    state, workdir = one_seed(found.states, 0), Path(config.workdir)
    rows = prediction.predict(found.recogniser, state, found.how, path, workdir, config.plots)
    print(f"checkpoint of step {found.step}; {workdir}/predictions/predictions.csv")
    return rows


def stream(config: Config, path: str) -> str:
    """Transcribes a recording piece by piece with the run in config.workdir."""
    found = load_trained(config.workdir)
    return prediction.stream(found.recogniser, one_seed(found.states, 0), path)


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on other data; see `session.evaluate`.

    On its test part if it has parts, else on all of it; prints notes on it. Of a run on joined
    strings, data of whole texts counts. Raises ValueError for a word that a
    classifier does not know.
    """
    found = load_trained(config.workdir)
    recogniser = found.recogniser
    part, notes = speech_to_score(dataset, recogniser.front.spectrum.rate)
    part = with_plain_texts(part)
    unknown = sorted(set(part.texts) - set(recogniser.symbols))
    if recogniser.classify and unknown:
        raise ValueError(f"{dataset} has the word {unknown[0]!r}, which the run does not know")
    if recogniser.classify:
        tokens = [[recogniser.symbols.index(text)] for text in part.texts]
    else:
        known = recogniser.symbols, recogniser.characters
        tokens = reference(part.texts, *known)
        notes += unknown_note(dataset, part.texts, *known)
    for note in notes:
        print(note)
    flat = utterances.flatten(part, tokens)

    def measure(run: Run) -> dict[str, np.ndarray]:
        if recogniser.classify:
            return {}
        return _error_rates(found, run, part)

    return session.evaluate(
        found.config,
        found.task,
        utterances.examples(flat, EVALUATION_BATCH, flat.longest()),
        data=dataset,
        headline=WORDS if recogniser.classify else STRINGS,
        measure=measure,
    )


def _error_rates(found: Trained, run: Run, part: Recordings) -> dict[str, np.ndarray]:
    """Word and character error rates [seeds]."""
    rates = []
    for seed in range(transcription.seeds(run.states)):
        state = one_seed(run.states, seed)
        log_ps = transcription.outputs(found.recogniser, state, part.waves)
        texts = transcription.texts(found.recogniser, log_ps, found.how)
        functions = error_rates.word_error_rate, error_rates.character_error_rate
        rates.append([function(part.texts, texts).value for function in functions])
    return dict(zip(("wer", "cer"), np.array(rates).T, strict=True))


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.stream:
        stream(config, config.stream)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
