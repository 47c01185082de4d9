"""text_classification as a command: masks, two steps, a question that it learns, predictions."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from dljax.apps import export
from dljax.apps import text_classification as app
from dljax.apps.configs.export import Config as ExportConfig
from dljax.apps.configs.text_classification import Config
from dljax.data import tokens
from dljax.nn.language import TextClassifier
from dljax.nn.recurrent.layers import GRU, Stack
from dljax.nn.recurrent.linear import MinGRU
from dljax.rnn.language import classification

SMALL = dict(steps=2, features=4, batch_size=4, quiet=True)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Texts of 2 to 30 letters; their class is whether they hold an x."""
    random = np.random.default_rng(0)
    rows = ["text,label"]
    for i in range(300):
        letters = random.choice(list("abc "), random.integers(2, 30))
        if i % 2:
            letters[random.integers(len(letters))] = "x"
        rows.append(f'"{"".join(letters)}|",{"with" if i % 2 else "without"}')
    path = tmp_path_factory.mktemp("texts") / "letters.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("layer", [GRU, MinGRU])
def test_padding_does_not_count(layer):
    known = tokens.characters("abcdef")
    model = TextClassifier(len(known.names), 3, Stack(4, 2, layer, bidirectional=True), 5)
    texts = ["abc", "fedcbafedcba", "d"]
    batch = classification.padded(known, texts, 100)
    assert batch["tokens"].shape == (3, 13) and batch["length"].tolist() == [4, 13, 2]
    variables = model.init(jax.random.key(0), batch["tokens"], np.ones((3, 13)))
    together = classification.logits_of(model, variables, batch)
    for i, text in enumerate(texts):
        alone = classification.padded(known, [text], 100)
        expected = classification.logits_of(model, variables, alone)[0]
        np.testing.assert_allclose(together[i], expected, atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-4
    short = classification.padded(known, texts, 6)
    assert short["tokens"].shape == (3, 6) and short["length"].tolist() == [4, 6, 2]


def test_it_learns_and_predicts(table, tmp_path, capsys):
    config = Config(
        dataset=table, workdir=tmp_path / "run", steps=150, features=8, batch_size=32,
        learning_rate=2e-2, dropout=0.0, quiet=True,
    )  # fmt: skip
    outcome = app.train(config)
    assert outcome.summary["metrics"]["accuracy"]["mean"] > 0.95
    baselines = outcome.summary["baselines"]
    assert baselines["most frequent class"]["accuracy"] < 0.65
    assert "tf-idf and logistic regression" in baselines
    assert (tmp_path / "run" / "plots" / "confusion.png").exists()
    asked = tmp_path / "asked.csv"
    asked.write_text("id,body\n1,ab ab|\n2,cxc|\n", encoding="utf-8")
    rows = app.predict(Config(workdir=config.workdir, text_column="body"), str(asked))
    assert [row["label"] for row in rows] == ["without", "with"]
    assert "checkpoint of step" in capsys.readouterr().out
    written = (tmp_path / "run" / "predictions" / "asked.csv").read_text()
    assert written.startswith("label,probability,text") and "cxc" in written
    with pytest.raises(ValueError, match="lies where its predictions are written"):
        app.predict(
            Config(workdir=config.workdir), str(tmp_path / "run" / "predictions" / "asked.csv")
        )
    asked = tmp_path / "asked.txt"
    asked.write_text("bbx|", encoding="utf-8")
    assert app.predict(Config(workdir=config.workdir), str(asked))[0]["label"] == "with"
    other = tmp_path / "other.tsv"
    other.write_text("id\tsays\tis\n1\tab ab|\twithout\n2\tcxc|\twith\n3\tb|\twith\n", "utf-8")
    asked = Config(workdir=config.workdir, text_column="says", label_column="is")
    scored = app.evaluate(asked, str(other))["metrics"]
    assert scored["accuracy"]["mean"] == pytest.approx(2 / 3)
    other.write_text("says\tis\nab\tneither\n", "utf-8")
    named = replace(config, text_column="says")
    assert app.column(Config(), named, "text_column") == "says"
    assert app.column(Config(text_column="x"), named, "text_column") == "x"
    with pytest.raises(ValueError, match="class 'neither', which the run does not know: it knows"):
        app.evaluate(asked, str(other))
    export.export(ExportConfig(workdir=config.workdir, platforms=("cpu",)))


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "mingru", "depth": 2, "tokens": "bytes", "num_seeds": 2},
        {"model": "lstm", "bidirectional": False, "embedding": 3, "validation": 0.0},
    ],
    ids=lambda settings: settings["model"],
)
def test_two_steps(settings, table, tmp_path):
    outcome = app.train(
        Config(dataset=table, workdir=tmp_path, **SMALL | {"baselines": False} | settings)
    )
    assert np.isfinite(outcome.summary["metrics"]["loss"]["per_seed"]).all()
    assert Config().workdir == "runs/text_classification-kjv_books-gru"
