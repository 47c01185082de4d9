"""Exporting runs as a command: without model code, the file computes what --predict does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dljax.apps import export, forecasting, image_classification
from dljax.apps.configs.export import Config
from dljax.cnn.classification import targets
from dljax.rnn.forecasting.combination import from_json as unpacked
from dljax.rnn.forecasting.combination import to_json as packed
from dljax.rnn.forecasting.forecaster import Blend
from dljax.run import session
from dljax.run.command_line import parse
from dljax.run.config import to_json
from dljax.train import export as exported
from dljax.train import loop
from dljax.train.checkpoint import Store
from dljax.train.files import write_json
from dljax.train.parallel import place
from tests.helpers import stripes

ROOT = Path(__file__).parents[2]
# The other program: what it may not import, and the arrays that it computes.
SERVER = """
import sys
for name in ("flax", "optax", "dljax.nn", "dljax.cnn", "dljax.rnn", "dljax.data", "dljax.apps"):
    sys.modules[name] = None  # importing it fails
import numpy as np
from dljax.train import export
for path in sys.argv[1:]:
    inputs = np.load(path + ".inputs.npz")
    np.savez(path + ".outputs.npz", **export.load(path)(**inputs))
"""


def leave_run(app, config, metadata) -> None:
    """Leaves in the workdir what a run that was not trained at all would have left."""
    metadata = {"experiment": config.name, **metadata}
    write_json(Path(config.workdir) / "config.json", to_json(config))
    write_json(Path(config.workdir) / "metadata.json", metadata)
    if app is image_classification:
        shape, classes = metadata["image_shape"], len(metadata["classes"])
        model = app.network(config, classes, shape)
        task = app.make_task(config, model, lambda x: x, targets.one_class(classes), shape)
    else:
        task = app.make_task(config, app.make_forecaster(config), metadata["shapes"])
    with Store(config.workdir) as store:
        run = loop.start(task, session.seeds(config), place("none"))
        store.save(0, run, {"step": 0, "dropped": []})


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A run of image_classification, and a folder of pictures."""
    root = tmp_path_factory.mktemp("classifier")
    config = image_classification.Config(
        workdir=root / "run", model="lenet", widths=(2, 3), ema=0.9, flip=True, num_seeds=2
    )
    metadata = {
        "classes": ("level", "upright"), "image_shape": (8, 8, 1), "mean": [0.4], "std": [0.3],
    }  # fmt: skip
    leave_run(image_classification, config, metadata)
    (root / "pictures").mkdir()
    for i, image in enumerate(stripes(5)["image"]):
        Image.fromarray(image[..., 0]).save(root / "pictures" / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory):
    """A run of forecasting with a covariate, the calendar and an interval, and its table."""
    root = tmp_path_factory.mktemp("forecaster")
    dates = np.datetime64("2023-01-01") + np.arange(120).astype("timedelta64[D]")
    rng = np.random.default_rng(0)
    values = 1e3 + rng.normal(size=(120, 2))
    rows = [f"{date},{a},{b}" for date, (a, b) in zip(dates, values, strict=True)]
    (root / "table.csv").write_text("\n".join(["date,a,wind", *rows]))
    config = forecasting.Config(
        workdir=root / "run", dataset=root / "table.csv", model="linear", window=14, horizon=3,
        target=("a",), covariates=("wind",), num_seeds=2, loss="mse",
    )  # fmt: skip
    scaler = [[1e3], [1.0]]
    offsets = np.linspace(-1, 1, 9) * np.ones((3, 1, 1))
    metadata = {
        "shapes": (14, 3, 1, 5, 4), "targets": ["a"], "columns": ["a"], "freq": "D",
        "scaler": scaler, "covariate_scaler": scaler, "levels": config.levels(),
        "radius": [[0.1]] * 3, "offsets": offsets,
        "combination": packed(Blend(rng.normal(size=(1, 14, 3)), np.ones((1, 3)), 0.5)),
    }  # fmt: skip
    leave_run(forecasting, config, metadata)
    return root


def test_a_server_without_models_computes_what_predict_does(classifier, forecaster, capsys):
    paths = [
        export.export(Config(workdir=root / "run", platforms=("cpu",)))
        for root in (classifier, forecaster)
    ]
    assert capsys.readouterr().out.count("outputs equal those of --predict, bit for bit") == 2
    images, table = classifier / "pictures", forecaster / "table.csv"
    pixels = [np.asarray(Image.open(file))[..., None] for file in sorted(images.iterdir())]
    series = np.genfromtxt(table, delimiter=",", skip_header=1, usecols=(1, 2))[-14:, :, None]
    days = np.datetime64("2023-01-01").astype(int) + np.arange(120 - 14, 123)
    stamps = np.stack([days, np.zeros_like(days)], -1)
    served = [
        {"image": np.stack(pixels)},
        {
            "past": series[None, :, 0],
            "covariates": series[None, :, 1],
            "past_time": stamps[None, :14],
            "future_time": stamps[None, 14:],
        },
    ]
    for path, inputs in zip(paths, served, strict=True):
        np.savez(f"{path}.inputs.npz", **inputs)
    subprocess.run([sys.executable, "-c", SERVER, *map(str, paths)], cwd=ROOT, check=True)
    there = [dict(np.load(f"{path}.outputs.npz")) for path in paths]

    p = there[0]["probability"]
    config = image_classification.Config(workdir=classifier / "run", plots=False)
    rows = image_classification.predict(config, str(images))
    names = exported.load(paths[0]).manifest["outputs"]["probability"]["names"]
    assert [row["label"] for row in rows] == [names[i] for i in p.argmax(-1)]
    assert [row["probability"] for row in rows] == [round(float(x), 6) for x in p.max(-1)]
    config = forecasting.Config(workdir=forecaster / "run", plots=False)
    rows = forecasting.predict(config, str(table))
    for name, key in {"value": "a", "low": "a_low", "high": "a_high"}.items():
        assert [row[key] for row in rows] == there[1][name][0, :, 0].tolist()
        assert np.abs(there[1][name] - 1e3).max() < 10
    # Half of the network's forecast, and the map of the window, in the unit of the series.
    metadata = json.loads((forecaster / "run" / "metadata.json").read_text())
    blend = unpacked(metadata.pop("combination"))
    write_json(forecaster / "run" / "metadata.json", metadata)
    alone = np.array([[row["a"]] for row in forecasting.predict(config, str(table))])
    line = blend.matrix[0].T @ (series[:, 0] - 1e3) + 1
    np.testing.assert_allclose(there[1]["value"][0], 1e3 + line + 0.5 * (alone - 1e3), atol=1e-3)


def bare(workdir: Path, name: str) -> Path:
    """What is left of a run that can't be exported."""
    workdir.mkdir()
    (workdir / "config.json").write_text("{}")
    (workdir / "metadata.json").write_text(json.dumps({"experiment": name} if name else {}))
    return workdir


def test_what_can_not_be_exported(tmp_path):
    for workdir, message in {
        tmp_path / "nothing": "holds no run: train first",
        bare(tmp_path / "agent", "ppo"): "a run of ppo can't be exported: its policy acts",
        bare(tmp_path / "online", "anomaly_detection"): "go on learning",
        bare(tmp_path / "missing", "sequence_probes"): "dljax.apps.sequence_probes has no function "
        r"serving\(config\)",
        bare(tmp_path / "unknown", "telepathy"): "there is no dljax.apps.telepathy",
        bare(tmp_path / "old", ""): "start the run's command once more",
    }.items():
        with pytest.raises((FileNotFoundError, ValueError), match=message) as error:
            export.export(Config(workdir=workdir))
        assert "\n" not in str(error.value)


def test_what_is_no_function_is_an_experiment():
    for name in export.NO_FUNCTION:
        assert (ROOT / "experiments" / f"{name}.py").exists()


def test_a_run_without_a_checkpoint(classifier, tmp_path):
    for old, new in {"config.json": "config.json", "metadata.json": "facts.json"}.items():
        (tmp_path / new).write_bytes((classifier / "run" / old).read_bytes())  # as older runs have
    with pytest.raises(FileNotFoundError, match="holds no checkpoint: train first"):
        export.export(Config(workdir=tmp_path))


def test_the_flags():
    with pytest.raises(ValueError, match="workdir must be the folder of a run"):
        Config()
    with pytest.raises(ValueError, match="platforms must be one of cpu, cuda, rocm, tpu"):
        Config(workdir="runs/x", platforms=("gpu",))
    assert parse(Config, ["export", "--workdir=x", "--platforms=cpu"]).platforms == ("cpu",)
    code = (
        "import runpy, sys\n"
        "sys.argv = ['export', '--help']\n"
        "try: runpy.run_module('experiments.export', run_name='__main__')\n"
        "except SystemExit: assert not {'jax', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert "--platforms" in done.stdout
