"""--predict and --stream: texts, a table and pictures in workdir/predictions/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.apps.speech import pictures
from dljax.apps.speech.transcription import Recogniser, greedy_texts, outputs, texts
from dljax.data.sources.sound import UnreadableSound, read_sound, sound_files
from dljax.rnn.speech import decoding, streaming
from dljax.rnn.speech.decoding import Decoding
from dljax.rnn.speech.front import log_mel
from dljax.train.files import write_csv
from dljax.train.supervised import State

PICTURES = 20  # of predictions drawn, at most
AT_ONCE = 64  # recordings that are held in memory
PIECE = 0.1  # seconds of a stream that arrive at once


def predict(
    recogniser: Recogniser, state: State, how: Decoding, path: str, workdir: Path, draw: bool
) -> list[dict[str, Any]]:
    """Recognises a recording or a folder of them; returns the rows of predictions.csv.

    A row: file, seconds, text; of a classifier, label, probability and the five best classes.
    Raises FileNotFoundError or ValueError, in one line, where there is nothing to read.
    """
    root, folder = Path(path).expanduser(), workdir / "predictions"
    if not root.exists():
        raise FileNotFoundError(f"There is no recording or folder {path}.")
    rows: list[dict[str, Any]] = []
    for names, waves in _read(sound_files(root) if root.is_dir() else [root], recogniser):
        log_ps = outputs(recogniser, state, waves)
        if recogniser.classify:
            new = [_word(recogniser, *x) for x in zip(names, log_ps, strict=True)]
        else:
            found = texts(recogniser, log_ps, how)
            new = [{"file": n, "text": text} for n, text in zip(names, found, strict=True)]
        for row, wave, log_p in zip(new, waves, log_ps, strict=True):
            print(f"{row['file']}: {row.get('text', row.get('top_5'))}")
            if draw and len(rows) < PICTURES:
                picture = folder / f"{len(rows):02d}_{Path(row['file']).stem}.png"
                _draw(recogniser, row, wave, log_p, picture)
            rows.append({**row, "seconds": round(len(wave) / recogniser.front.spectrum.rate, 3)})
    if not rows:
        raise ValueError(f"{path} has no readable recording.")
    write_csv(folder / "predictions.csv", rows)
    return rows


def _read(
    files: list[Path], recogniser: Recogniser
) -> Iterator[tuple[list[str], list[np.ndarray]]]:
    """Names and samples of some recordings after others; prints what is odd or skipped."""
    names: list[str] = []
    waves: list[np.ndarray] = []
    for file in files:
        try:
            sound = read_sound(file, recogniser.front.spectrum.rate)
        except UnreadableSound as error:
            print(f"skipped: {file} ({error})")
            continue
        if sound.remarks:
            print(f"{file}: {', '.join(sound.remarks)}")
        names.append(str(file))
        waves.append(sound.samples)
        if len(names) == AT_ONCE:
            yield names, waves
            names, waves = [], []
    if names:
        yield names, waves


def _word(recogniser: Recogniser, name: str, log_p: np.ndarray) -> dict[str, Any]:
    p, order = np.exp(log_p), np.argsort(-log_p, kind="stable")[:5]
    return {
        "file": name,
        "label": recogniser.symbols[order[0]],
        "probability": round(float(p[order[0]]), 6),
        "top_5": "; ".join(f"{recogniser.symbols[i]} {p[i]:.3f}" for i in order),
    }


def _draw(
    recogniser: Recogniser, row: dict[str, Any], wave: np.ndarray, log_p: np.ndarray, path: Path
) -> None:
    if recogniser.classify:
        title = f"{Path(row['file']).name}: {row['label']} ({row['probability']:.2f})"
        panels = [(title, log_mel(recogniser.front.spectrum, wave))]
        plots.speech.spectrograms(panels, pictures.hop(recogniser), path)
    else:
        title = f"{Path(row['file']).name}: {row['text']}"
        plots.speech.alignments([pictures.item(recogniser, wave, log_p, row["text"], title)], path)


def stream(recogniser: Recogniser, state: State, path: str) -> str:
    """Transcribes a recording piece by piece, printing the text as it grows; returns the text.

    By the best path, of which every symbol is final. Raises ValueError where the network sees the
    future, and where the text differs from that of the recording at once.
    """
    if recogniser.classify:
        raise ValueError("a classifier of single words has no text to stream: use --predict")
    if recogniser.model.encoder.bidirectional or recogniser.front.normalization in (
        "utterance",
        "level",
    ):
        raise ValueError(
            "this network sees the future: train with --bidirectional=false (and --normalization "
            "running or fixed) to stream"
        )
    rate = recogniser.front.spectrum.rate
    if not Path(path).expanduser().is_file():
        raise FileNotFoundError(f"There is no recording {path}.")
    try:
        wave = read_sound(Path(path).expanduser(), rate).samples
    except UnreadableSound as error:
        raise ValueError(f"{path} is no readable recording: {error}") from None
    arriving = streaming.pieces(wave, round(PIECE * rate))
    parts: list[np.ndarray] = []
    shown = ""
    for log_p in streaming.stream(recogniser.model, state.variables(), recogniser.front, arriving):
        parts.append(log_p)
        text = recogniser.text(decoding.greedy(np.concatenate(parts)))
        if text != shown:
            frames = sum(map(len, parts)) * recogniser.model.encoder.stride
            print(f"{frames * pictures.hop(recogniser):7.2f} s  {text}")
        shown = text
    (whole,) = greedy_texts(recogniser, outputs(recogniser, state, [wave]))
    if whole != shown:
        raise ValueError(f"{path}: at once the text is {whole!r}, streamed {shown!r}")
    print("the same text as of the recording at once")
    return shown
