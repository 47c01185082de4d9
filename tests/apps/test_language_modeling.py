"""language_modeling as a command: two steps of each kind, its files, prompt and scores."""

import csv
from pathlib import Path

import numpy as np
import pytest

from dljax.apps import export
from dljax.apps import language_modeling as app
from dljax.apps.configs.export import Config as ExportConfig
from dljax.apps.configs.language_modeling import Config
from dljax.run.command_line import UsageError, parse
from tests.rnn import texts

SMALL = dict(steps=2, features=8, batch_size=4, bptt=8, quiet=True)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "cats.txt"
    path.write_text(texts.TEXT + "Zoë!", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    config = Config(dataset=text, workdir=workdir, validation=0.1, test=0.2, **SMALL)
    return config, app.train(config)


def test_what_a_run_leaves(trained):
    config, outcome = trained
    summary = outcome.summary
    values = summary["metrics"]
    assert values["bits"]["mean"] == pytest.approx(values["nats"]["mean"] / np.log(2))
    assert summary["data"]["characters"] == {"train": 1010, "validation": 145, "test": 289}
    assert "'Z' U+005A" in summary["notes"][1] and "'ë' U+00EB" in summary["notes"][1]
    names = list(summary["baselines"])
    assert len(names) == 7 and names[0].startswith("Kneser-Ney, order 1 (")
    scores = [summary["baselines"][name]["nats"] for name in names]
    assert scores[5] < scores[1] < scores[0] < np.log(30)
    assert summary["notes"][2].startswith("not better than")
    workdir = Path(config.workdir)
    plots = {path.stem for path in (workdir / "plots").iterdir()}
    assert plots == {"learning_curves", "units"}
    sampled = (workdir / "samples" / "by_step.txt").read_text(encoding="utf-8")
    assert "==== step 1 ====" in sampled and "==== step 2 ====" in sampled


def test_prompt(trained, capsys):
    config, _ = trained
    use = Config(workdir=config.workdir, length=20, top_k=3, temperature=0.5)
    text = app.continue_text(use, "the xé")
    out = capsys.readouterr().out
    assert len(text) == 26 and text.startswith("the xé") and text in out
    assert "characters that training never had: 'x' U+0078, 'é' U+00E9" in out
    assert app.continue_text(use, "the xé") == text
    other = Config(workdir=config.workdir, length=20, temperature=2.0, seed=1)
    assert app.continue_text(other, "the xé") != text


def test_score(trained, text, tmp_path, capsys):
    config, _ = trained
    rows = app.score(Config(workdir=config.workdir), str(text))
    assert len(rows) == 31 and rows[-1].characters == 4
    target = Path(config.workdir) / "predictions" / "cats.csv"
    with target.open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [int(row["number"]) for row in read] == list(range(1, 32))
    assert float(read[0]["nats"]) == pytest.approx(rows[0].nats, abs=1e-3)
    assert target.with_suffix(".png").exists()
    assert "'Z' U+005A" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError):
        app.score(Config(workdir=config.workdir), str(tmp_path / "none.txt"))


def test_bytes_that_are_no_text(text, tmp_path, capfd):
    """What is printed has U+FFFD in their place, whatever the terminal's encoding."""
    config = Config(dataset=text, workdir=tmp_path, tokens="bytes", baselines=False, **SMALL)
    app.train(config)
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9\nab\xe2\x80\xa8c\x0cd\r\n\ne")
    rows = app.score(Config(workdir=tmp_path), str(latin))
    assert [row.text for row in rows] == ["caf\udce9", "ab\u2028c\x0cd", "", "e"]
    assert [row.characters for row in rows] == [5, 8, 1, 1]
    app.continue_text(Config(workdir=tmp_path, length=3), "caf\udce9")
    assert capfd.readouterr().out.count("caf\ufffd") == 2


def test_export(trained, capsys):
    config, _ = trained
    export.export(ExportConfig(workdir=config.workdir, platforms=("cpu",)))
    assert "output next_state_1: float32 [batch, 8]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "transformer", "heads": 2, "memory": 5, "dropout": 0.1},
        {"model": "mingru", "depth": 2, "residual": True, "norm": True, "tokens": "bytes"},
        {"model": "gru", "tied": True, "dtype": "bfloat16", "validation": 0.0, "num_seeds": 2},
        {"model": "rnn", "tokens": "bpe", "vocabulary": 270},
    ],
    ids=lambda settings: settings["model"],
)
def test_two_steps(settings, text, tmp_path):
    if settings.get("tokens") == "bpe":
        pytest.importorskip("tokenizers", reason="requirements-dev.txt installs it")
    config = Config(dataset=text, workdir=tmp_path, **SMALL | {"baselines": False} | settings)
    outcome = app.train(config)
    values = outcome.summary["metrics"]
    assert np.isfinite(values["nats"]["per_seed"]).all()
    assert len(values["nats"]["per_seed"]) == settings.get("num_seeds", 1)
    assert values["perplexity"]["mean"] == pytest.approx(np.exp(values["nats"]["mean"]), rel=1e-2)


def test_another_text_is_refused(text, tmp_path):
    settings = SMALL | {"baselines": False, "plots": False}
    app.train(Config(dataset=text, workdir=tmp_path / "run", **settings))
    other = tmp_path / "other.txt"
    other.write_text(texts.TEXT.replace("cat", "cow"), encoding="utf-8")
    with pytest.raises(ValueError, match="characters"):
        app.train(Config(dataset=other, workdir=tmp_path / "run", **settings))


def test_what_can_not_be(text, tmp_path):
    with pytest.raises(ValueError, match="leave nothing"):
        Config(validation=0.5, test=0.6)
    with pytest.raises(ValueError, match="multiple of twice heads"):
        Config(model="transformer", features=10)
    with pytest.raises(UsageError, match="data_dir"):
        parse(Config, ["x", "--data_dir=x"])
    with pytest.raises(ValueError, match="lower batch_size or bptt"):
        app.build(Config(dataset=text, batch_size=64))
    short = tmp_path / "short.txt"
    short.write_text("abcdef")
    settings = dict(dataset=short, batch_size=1, bptt=1, validation=0.2, test=0.2)
    with pytest.raises(ValueError, match="has 4 tokens, too few for n-grams of the orders 1 to 6"):
        app.build(Config(**settings))
    app.build(Config(baselines=False, **settings))
    assert Config().workdir == "runs/language_modeling-kjv-lstm"
