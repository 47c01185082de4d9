"""What a trained run reaches on the test part, by exact scores, and the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dljax.apps.configs.speech_recognition import Config
from dljax.apps.speech import pictures
from dljax.apps.speech.data import TEST, SpeechData
from dljax.apps.speech.transcription import (
    CHOSEN_ON,
    Recogniser,
    choose,
    greedy_texts,
    outputs,
    seeds,
    texts,
)
from dljax.data import utterances
from dljax.data.utterances import Joining
from dljax.rnn.speech import baselines, error_rates
from dljax.rnn.speech.decoding import Decoding
from dljax.run.experiment import Analysis
from dljax.train.loop import Run, one_seed
from dljax.train.metrics import describe

RATIOS = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0, np.inf)  # dB
CURVE_STRINGS = 100
CONFUSIONS = 20


def words(recogniser: Recogniser, run: Run, data: SpeechData) -> Analysis:
    """Of a classifier: pictures; its scores are sums."""
    log_p = np.stack(outputs(recogniser, one_seed(run.states, 0), data.test.waves))
    found = [data.symbols[i] for i in log_p.argmax(-1)]
    wrong = [i for i, text in enumerate(found) if text != data.test.texts[i]]
    wrong.sort(key=lambda i: log_p[i].max(), reverse=True)
    by_speaker = {}
    for speaker in sorted(set(data.test.speakers)):
        own = [i for i, x in enumerate(data.test.speakers) if x == speaker]
        by_speaker[speaker] = float(np.mean([found[i] == data.test.texts[i] for i in own]))

    def draw(folder: Path) -> None:
        pictures.front_end(recogniser, data.train, folder)
        pictures.mistakes(recogniser, data.test, found, wrong, folder)

    findings = {"accuracy_by_speaker": by_speaker} if len(by_speaker) > 1 else {}
    return Analysis({"speech": findings}, draw=draw)


def strings(config: Config, recogniser: Recogniser, run: Run, data: SpeechData) -> Analysis:
    """Of CTC: decoding chosen on the validation part; WER and CER with intervals; confusions.

    The metrics `wer` and `cer` are of the chosen decoding, `greedy_wer` and `greedy_cer` of the
    best path. With several seeds the decoding is chosen by the first.
    """
    held = data.validation.pick(range(min(CHOSEN_ON, len(data.validation))))
    log_ps = outputs(recogniser, one_seed(run.states, 0), held.waves)
    how, table = choose(recogniser, log_ps, held.texts, config.beam)
    references, metrics, first = data.test.texts, {}, None
    for seed in range(seeds(run.states)):
        log_ps = outputs(recogniser, one_seed(run.states, seed), data.test.waves)
        ways = {"": texts(recogniser, log_ps, how), "greedy_": greedy_texts(recogniser, log_ps)}
        for name, found in ways.items():
            for score, function in _SCORES.items():
                value = function(references, found).value
                metrics.setdefault(name + score, []).append(value)
        first = first or (log_ps, ways[""])
    log_ps, found = first
    wer = error_rates.word_error_rate(references, found)
    cer = error_rates.character_error_rate(references, found)
    units = [list(text) if data.characters else text.split() for text in references]
    written = [list(text) if data.characters else text.split() for text in found]
    counts = error_rates.confusions(units, written)
    confused = [(*pair, n) for pair, n in counts.most_common() if pair[0] != pair[1]][:CONFUSIONS]
    findings: dict[str, Any] = {
        "decoding": {**how._asdict(), "language_model": recogniser.language is not None},
        "tried_on_validation": table,
        "wer": wer._asdict(),
        "cer": cer._asdict(),
        "confusions": [{"said": a, "found": b, "count": n} for a, b, n in confused],
    }
    lines = [
        f"word error rate {wer.value:.2%} (95 %: {wer.low:.2%} to {wer.high:.2%}), character error "
        f"rate {cer.value:.2%} ({cer.low:.2%} to {cer.high:.2%}), first seed, by "
        + _described(how, recogniser)
    ]
    unseen = [i for i, text in enumerate(references) if text not in set(data.train.texts)]
    if not data.single and 0 < len(unseen) < len(references):
        rate = error_rates.word_error_rate(*([x[i] for i in unseen] for x in (references, found)))
        findings["wer_of_texts_not_in_train"] = rate._asdict()
        lines.append(
            f"{len(references) - len(unseen)} of {len(references)} test texts also occur in train; "
            f"without them the word error rate is {rate.value:.2%}"
        )
    curves = {}
    if data.single:
        curves = noise_curve(config, recogniser, run, data, how)
        findings["wer_by_noise"] = {"ratios": [str(x) for x in RATIOS], **curves}
    findings["metrics"] = {name: describe(np.array(x)) for name, x in metrics.items()}

    def draw(folder: Path) -> None:
        pictures.front_end(recogniser, data.train, folder)
        worst = sorted(range(len(found)), key=lambda i: -error_rates.edits(units[i], written[i]))[
            :4
        ]
        pictures.aligned(recogniser, data.test, log_ps, found, range(min(4, len(found))),
                         folder / "alignments.png")  # fmt: skip
        pictures.aligned(recogniser, data.test, log_ps, found, worst, folder / "worst.png")
        if confused:
            pictures.confused(confused, folder / "confusions.png")
        if curves:
            pictures.noise(curves, RATIOS, folder / "error_by_noise.png")

    values = {name: np.array(x) for name, x in metrics.items()}
    return Analysis(
        {"speech": findings},
        tuple(lines),
        {"decoding": how._asdict()},
        draw,
        values,
    )


_SCORES = {
    "wer": error_rates.word_error_rate,
    "cer": error_rates.character_error_rate,
}


def noise_curve(
    config: Config, recogniser: Recogniser, run: Run, data: SpeechData, how: Decoding
) -> dict[str, list[float]]:
    """The word error rate of the first seed over the noise of the same strings."""
    joining = Joining(*config.joined(), config.pause, data.rate)
    state, curves = one_seed(run.states, 0), {"network": []}
    for ratio in RATIOS:
        noise = None if np.isinf(ratio) else (ratio, ratio)
        part = utterances.render(data.single["test"], joining, CURVE_STRINGS, TEST, noise)
        found = texts(recogniser, outputs(recogniser, state, part.waves), how)
        curves["network"].append(error_rates.word_error_rate(part.texts, found).value)
    return curves


def _described(how: Decoding, recogniser: Recogniser) -> str:
    if not how.beam:
        return "the best path"
    if recogniser.language is None or not how.weight:
        return f"a beam of {how.beam} prefixes"
    return (
        f"a beam of {how.beam} prefixes with an n-gram model of order {recogniser.language.order}, "
        f"weight {how.weight:g} and bonus {how.bonus:g}, chosen on validation"
    )


def segment_baseline(data: SpeechData, recogniser: Recogniser) -> dict[str, dict[str, float]]:
    """Strings cut at their pauses by energy, each part classified by MFCC + SVM."""
    front = recogniser.front.spectrum
    model = baselines.svm(data.single["train"], front)
    found = [" ".join(baselines.classify_segments(model, wave, front)) for wave in data.test.waves]
    return {
        "energy_mfcc_svm": {
            "wer": error_rates.word_error_rate(data.test.texts, found).value,
            "cer": error_rates.character_error_rate(data.test.texts, found).value,
        }
    }
