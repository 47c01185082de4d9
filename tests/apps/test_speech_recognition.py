"""Speech recognition as a command: words, joined strings, manifests, streams, export, mistakes."""

import csv
import json

import numpy as np
import pytest

from dljax.apps import export as exports
from dljax.apps import speech_recognition as app
from dljax.apps.configs.export import Config as ExportConfig
from dljax.apps.configs.speech_recognition import Config
from dljax.apps.speech import data as speech_data
from dljax.apps.speech import prediction, transcription
from dljax.run.command_line import run_main
from dljax.train import export
from experiments import speech_recognition as script
from tests.rnn import sounds

soundfile = pytest.importorskip("soundfile")
QUICK = {
    "steps": 2, "batch_size": 16, "parallel": "none", "plots": False, "quiet": True, "mels": 8,
    "lowest": 60.0, "channels": (4, 4), "features": 12, "dropout": 0.0, "mask_filters": 1,
    "mask_seconds": 0.02, "strings": 16, "pause": 0.05, "beam": 4, "learning_rate": 2e-2,
    "ema": 0.9, "noise": (15.0, 40.0), "string_noise": (20.0, 30.0),
}  # fmt: skip


def configured(**changes) -> Config:
    return Config(**(QUICK | changes))


def write(path, wave):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, sounds.RATE, subtype="PCM_16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder per word, 60 recordings."""
    root = tmp_path_factory.mktemp("tones") / "words"
    recordings = sounds.tones(60)
    for wave, text, name in zip(recordings.waves, recordings.texts, recordings.names, strict=True):
        write(root / text / f"{name}.wav", wave)
    return root


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """Manifests of strings of tones by five speakers, two of them too short."""
    root = tmp_path_factory.mktemp("sentences")
    for part, count, seed in (("train", 42, 1), ("test", 10, 2)):
        recordings, lines = sounds.strings(count, seed), []
        for i, (wave, text) in enumerate(zip(recordings.waves, recordings.texts, strict=True)):
            short = part == "train" and i < 2
            file = root / f"who{i % 5}" / f"{part}{i}.wav"
            write(file, wave[:60] if short else wave)
            entry = {"audio_filepath": f"who{i % 5}/{file.name}", "text": text}
            lines.append(json.dumps(entry | ({"text": "low low low low"} if short else {})))
        (root / f"{part}_manifest.json").write_text("\n".join(lines))
    return root


@pytest.fixture(scope="module")
def classified(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("classified")
    app.train(configured(workdir=workdir, dataset=folder, steps=80, num_seeds=2, plots=True))
    return workdir


@pytest.fixture(scope="module")
def transcribed(sentences, tmp_path_factory):
    """A workdir with a causal network that reads manifests of words."""
    workdir = tmp_path_factory.mktemp("transcribed")
    app.train(
        configured(
            workdir=workdir, dataset=sentences, steps=250, units="words", bidirectional=False,
            plots=True, lm_order=2, speed=(), length_groups=2,
        )
    )  # fmt: skip
    return workdir


def summary_of(workdir):
    return json.loads((workdir / "summary.json").read_text())


def test_words_are_told_apart(classified, folder, capsys, monkeypatch):
    monkeypatch.setattr(prediction, "PICTURES", 2)
    summary = summary_of(classified)
    assert summary["metrics"]["accuracy"]["mean"] > 0.7
    assert 0.3 < summary["baselines"]["mfcc_svm"]["accuracy"] <= 1
    pictures = {path.stem for path in (classified / "plots").iterdir()}
    assert {"learning_curves", "confusion", "front_end"} <= pictures
    rows = app.predict(configured(workdir=classified, plots=True), str(folder / "low"))
    assert len(rows) == len(list((folder / "low").iterdir()))
    assert np.mean([row["label"] == "low" for row in rows]) > 0.6
    with open(classified / "predictions" / "predictions.csv", newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == [row["label"] for row in rows]
    assert len(list((classified / "predictions").glob("*.png"))) == 2
    capsys.readouterr()
    found = app.evaluate(configured(workdir=classified), str(folder))
    assert "all 60 recordings are scored" in capsys.readouterr().out
    assert found["metrics"]["accuracy"]["mean"] > 0.7


def test_sentences_are_read(transcribed, sentences, capsys):
    summary = summary_of(transcribed)
    found = summary["speech"]
    assert summary["metrics"]["wer"]["mean"] < 0.6 and found["decoding"]["language_model"]
    assert found["wer"]["low"] <= found["wer"]["value"] <= found["wer"]["high"]
    assert any(
        "training recordings are too short for their text" in note for note in summary["notes"]
    )
    assert any("speakers, by hash" in note for note in summary["notes"])
    pictures = {path.stem for path in (transcribed / "plots").iterdir()}
    assert {"learning_curves", "front_end", "alignments", "worst"} <= pictures
    file = str(sentences / "who0" / "test0.wav")
    (row,) = app.predict(configured(workdir=transcribed, plots=True), file)
    capsys.readouterr()
    text = app.stream(configured(workdir=transcribed), file)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "the same text as of the recording at once"
    assert not text or lines[-2].endswith(text)
    assert set(row["text"].split()) <= set(sounds.PITCHES)
    scores = app.evaluate(configured(workdir=transcribed), str(sentences))["metrics"]
    assert scores["wer"]["mean"] == summary["metrics"]["wer"]["mean"]
    assert "the test part: 10 recordings are scored" in capsys.readouterr().out
    entry = {"audio_filepath": file, "text": "never heard"}
    (sentences / "other.json").write_text(json.dumps(entry))
    scores = app.evaluate(configured(workdir=transcribed), str(sentences / "other.json"))
    assert scores["metrics"]["error_rate"]["mean"] >= 1
    assert "what training never had, and counts as wrong: heard, never" in capsys.readouterr().out


@pytest.mark.parametrize("fixture", ["classified", "transcribed"])
def test_export(fixture, request, tmp_path, capsys):
    workdir = request.getfixturevalue(fixture)
    path = tmp_path / "model.zip"
    exports.export(ExportConfig(workdir=workdir, output=path, platforms=("cpu",)))
    assert "outputs equal those of --predict" in capsys.readouterr().out
    model = export.load(path)
    length = model.inputs["sound"].shape[0]
    answer = model(sound=np.zeros((2, length), np.int16), samples=np.array([length, length // 2]))
    if fixture == "classified":
        np.testing.assert_allclose(answer["probability"].sum(1), 1, atol=1e-5)
    else:
        assert answer["frames"][0] == answer["log_probability"].shape[1] > answer["frames"][1]


def test_joined_words(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("dljax.apps.speech.analysis.RATIOS", (10.0, np.inf))
    monkeypatch.setattr("dljax.apps.speech.analysis.CURVE_STRINGS", 4)
    app.train(configured(workdir=tmp_path, dataset=folder, join=(1, 3), plots=True))
    summary = summary_of(tmp_path)
    assert set(summary["metrics"]) >= {"wer", "cer", "greedy_wer", "error_rate", "too_short"}
    assert summary["baselines"]["energy_mfcc_svm"]["wer"] < 0.8
    assert len(summary["speech"]["wer_by_noise"]["network"]) == 2
    assert (tmp_path / "plots" / "error_by_noise.png").exists()


def test_speakers_are_held_out(tmp_path):
    for digit in "01":
        for who in ("ann", "bob", "cat"):
            for i in range(3):
                wave = sounds.tone(200 + 300 * int(digit), 0.1, np.random.default_rng(i))
                write(tmp_path / f"{digit}_{who}_{i}.wav", wave)
    config = configured(dataset=tmp_path, test_speakers=("bob",), validation_speakers=("cat",),
                        batch_size=4)  # fmt: skip
    data = speech_data.load(config)
    assert set(data.test.speakers) == {"bob"} and len(data.test) == 6
    assert set(data.train.speakers) == {"ann"} and set(data.validation.speakers) == {"cat"}
    write(tmp_path / "2_bob_0.wav", sounds.tone(400, 0.1, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="test has words that no training recording has: 2"):
        speech_data.load(config)
    with pytest.raises(ValueError, match="test_speakers: there is no speaker 'dan'"):
        speech_data.load(configured(dataset=tmp_path, test_speakers=("dan",)))


def test_calls_are_small():
    """No more rows than recordings need, and few of long ones."""
    lengths = [9000, 100, *[8000] * 19, 1_040_000, 300_000, 290_000, 0]
    found = list(transcription.pieces(lengths))
    assert sorted(i for chosen, _, _ in found for i in chosen) == list(range(len(lengths)))
    assert [(len(chosen), *x) for chosen, *x in found] == [
        (16, 16, 8000), (4, 4, 8000), (4, 4, 512_000), (1, 1, 2_048_000),
    ]  # fmt: skip
    assert next(transcription.pieces([5, 6, 7]))[1:] == (4, 8000)


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"join": (5, 3)}, "join is two numbers, the lower first"),
        ({"channels": (8,)}, "channels and strides are of the same layers"),
        ({"test_speakers": ("a",), "validation_speakers": ("a",)}, "tested on and chosen by"),
        ({"data_dir": "x"}, "has no data_dir"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, error):
    with pytest.raises(ValueError, match=error):
        configured(**changes)


@pytest.mark.parametrize(
    "flags, error",
    [
        (["--dataset=./gone"], "There is no folder or file ./gone"),
        (["--predict=./gone.wav", "--workdir=./none"], "none"),
    ],
)
def test_mistakes_end_in_one_line(flags, error, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run_main(script.main, Config, script.__doc__, ["speech_recognition", *flags])
    output = capsys.readouterr().err
    assert end.value.code and error in output and "Traceback" not in output


def test_classifiers_do_not_stream(classified, folder):
    file = next((folder / "low").iterdir())
    with pytest.raises(ValueError, match="has no text to stream"):
        app.stream(configured(workdir=classified), str(file))
