"""The probes as a command: each problem for two steps, and its results."""

import json

import jax
import numpy as np
import pytest

from dljax.apps import sequence_probes as app
from dljax.apps.configs.sequence_probes import Config
from dljax.run.command_line import UsageError, parse

SMALL = dict(steps=2, features=4, quiet=True, batch_size=8, baselines=False)


@pytest.mark.parametrize(
    ("probe", "settings"),
    [
        ("adding", {"cell": "lstm", "length": 12, "baselines": True}),
        ("digits_rows", {"cell": "rnn", "plots": False, "depth": 2, "dropout": 0.2}),
        ("digits_pixels", {"cell": "gru", "plots": False, "validation": 0.0, "dtype": "bfloat16"}),
    ],
)
def test_two_steps(probe, settings, tmp_path):
    config = Config(workdir=tmp_path, probe=probe, **SMALL | settings)
    outcome = app.train(config)
    assert int(outcome.run.step) == 2
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(outcome.run.states.params))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert np.isfinite(summary["metrics"]["loss"]["mean"])
    if probe == "adding":
        assert summary["baselines"]["always 1"]["loss"] == pytest.approx(1 / 6, rel=0.1)
        assert "not better than always 1" in summary["notes"][0]
        assert "not solved" in summary["notes"][1]
        pictures = {path.stem for path in (tmp_path / "plots").iterdir()}
        assert pictures == {"learning_curves", "gradient_reach", "gates"}


def test_nothing_to_predict():
    with pytest.raises(UsageError, match="unknown flag --predict"):
        parse(Config, ["x", "--predict=x.csv"])


def test_each_problem_has_a_workdir_of_its_own():
    assert Config().workdir == "runs/sequence_probes-adding-gru"
    read = Config(probe="digits_rows", cell="lstm", dataset="tfds:mnist")
    assert read.workdir == "runs/sequence_probes-mnist-rows-lstm"
