"""Transfer learning as a command: the comparison, each method, --predict, --evaluate, mistakes."""

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from dljax.apps import image_classification, transfer_learning
from dljax.apps.configs.transfer_learning import Config
from dljax.apps.transfer import inference, methods
from dljax.apps.transfer import source as sources
from dljax.apps.transfer import target as targets
from dljax.data.image_scaling import Normalize
from dljax.data.sources import letters
from dljax.nn.allconv import AllConv
from dljax.run.command_line import run_main
from dljax.run.config import from_json
from tests.helpers import assert_same, stripes

QUICK = {
    "steps": 2,
    "num_seeds": 2,
    "shots": (2,),
    "steps_per_call": 2,
    "parallel": "none",
    "plots": False,
    "quiet": True,
}


def configured(**changes) -> Config:
    return Config(**(QUICK | changes))


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    """48 + 12 striped images of three classes in MedMNIST's layout."""
    path, arrays = tmp_path_factory.mktemp("npz") / "stripes.npz", {}
    for part, count in {"train": 48, "test": 12}.items():
        data = stripes(count, seed=count)
        arrays |= {f"{part}_images": data["image"][..., 0]}
        arrays |= {f"{part}_labels": data["label"][:, None]}
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A Config and its target: digits, and a LeNet of letters after two steps in its workdir."""
    settings = {"crop": 0, "rotation": 0.0, "zoom": 0.0, "shear": 0.0, "validation": 0.0}
    small = partial(
        image_classification.Config, model="lenet", widths=(2, 3), steps_per_call=2, **settings
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_classification, "Config", small)
        patch.setattr(sources, "STEPS", dict.fromkeys(sources.BUILT_IN, 2))
        patch.setattr(letters, "VARIANTS", 1)
        workdir = tmp_path_factory.mktemp("prepared")
        config = configured(dataset="digits", source="letters", workdir=workdir)
        return config, targets.prepare(config)


@pytest.fixture(scope="module")
def source(prepared):
    """The workdir of that LeNet."""
    config, _ = prepared
    return f"{config.workdir}/source"


@pytest.fixture(scope="module")
def compared(npz, source, tmp_path_factory):
    """Probes and adapters with two images a class; Config, summary."""
    workdir = str(tmp_path_factory.mktemp("compared"))
    config = configured(
        workdir=workdir, dataset=npz, source=source, method=("probe", "lora"),
        eval_every=2, head="random", plots=True,
    )  # fmt: skip
    return config, transfer_learning.train(config).summary


def test_a_comparison(compared):
    config, summary = compared
    folder = Path(config.workdir)
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert summary["data"]["images"] == {"train": 48, "test": 12}
    assert "--method=probe,lora" in summary["command"]
    assert set(summary["metrics"]) == {"accuracy_probe_2", "accuracy_lora_2"}
    assert all(len(values["per_seed"]) == 2 for values in summary["metrics"].values())
    assert set(summary["baselines"]) == {"nearest class mean, 2", "logistic regression, 2"}
    assert (folder / "plots" / "labels.png").stat().st_size > 5000
    for method in config.method:
        run = json.loads((folder / f"{method}-2" / "summary.json").read_text())
        assert run["metrics"]["accuracy"] == summary["metrics"][f"accuracy_{method}_2"]


def test_evaluate_scores_as_the_test_does(compared, npz, capsys):
    """On the very images of the test; a probe by the source's features of them."""
    config, summary = compared
    for method in config.method:
        one = configured(workdir=f"{config.workdir}/{method}-2")
        found = inference.evaluate(one, npz)
        expected = summary["metrics"][f"accuracy_{method}_2"]["per_seed"]
        assert found["metrics"]["accuracy"]["per_seed"] == pytest.approx(expected)
        tables = {x.name for x in Path(one.workdir).rglob("*per_class.csv")}
        assert len(tables) == 2  # of the test, and of this evaluation
    with pytest.raises(ValueError, match="none of the model's"):
        inference.evaluate(one, "digits")
    assert "(12 images): accuracy 0." in capsys.readouterr().out


def test_a_probe_of_another_source_is_refused(compared, tmp_path):
    config, _ = compared
    for name in ("config.json", "metadata.json"):
        content = json.loads(Path(config.workdir, "probe-2", name).read_text())
        if name == "metadata.json":
            content["data"]["derived"][targets.WEIGHTS] = "00000000"
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="holds other weights than those"):
        inference.load(configured(workdir=tmp_path))


def test_predict_by_each_kind_of_run(compared, source, tmp_path, capsys):
    """A probe after the source's network; merged adapters; the source itself."""
    config, _ = compared
    image = stripes(1)["image"][0]
    Image.fromarray(image[..., 0]).save(tmp_path / "one.png")
    runs = {m: f"{config.workdir}/{m}-2" for m in config.method} | {"none": str(tmp_path / "new")}
    for method, folder in runs.items():
        one = configured(workdir=folder, source=source, method=(method,), predict="x", plots=True)
        rows = transfer_learning.predict(one, str(tmp_path / "one.png"))
        with open(Path(folder) / "predictions" / "predictions.csv", newline="") as file:
            assert [row["top_5"] for row in csv.DictReader(file)] == [rows[0]["top_5"]]
        assert list((Path(folder) / "predictions").glob("*one.png"))
        chances = [float(word.split()[-1]) for word in rows[0]["top_5"].split("; ")]
        assert chances == sorted(chances, reverse=True)
        assert len(chances) == (5 if method == "none" else 3)  # of 37 letters, of three stripes
        assert method == "none" or sum(chances) == pytest.approx(1, abs=2e-3)
        assert rows[0]["probability"] == pytest.approx(chances[0], abs=1e-3)
    assert "one.png: " in capsys.readouterr().out


def test_features_of_a_set_and_of_a_folder(npz, source, tmp_path):
    config = configured(source=source, dataset=npz, features=tmp_path / "f" / "all.npz")
    found = np.load(inference.write_features(config))
    assert found["train"].shape == (48, 84) and found["test_labels"].shape == (12,)
    Image.fromarray(stripes(1)["image"][0, ..., 0]).save(tmp_path / "one.png")
    config = configured(source=source, predict=tmp_path / "one.png", features=tmp_path / "one.npz")
    found = np.load(inference.write_features(config))
    assert found["features"].shape == (1, 84) and found["files"][0].endswith("one.png")


@pytest.fixture(scope="module")
def target():
    """Half of the digits, for a small net with BatchNorm that never was trained."""
    model = AllConv(classes=5, widths=(4,))
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 8, 8, 1)))
    variables = jax.tree.map(lambda x: np.full(x.shape, 0.5, x.dtype), shapes)
    normalize = Normalize((0.5,), (0.25,))
    made = sources.Source("made", model, variables, normalize, (8, 8, 1), tuple("abcde"))
    with pytest.MonkeyPatch.context() as patch:
        half = made._replace(classes=tuple("01234"))
        patch.setattr(sources, "train_built_in", lambda *_: half)
        config = configured(source="first_half", validation=3, test_images=20, shots=(1, 4))
        return config, targets.prepare(config)


def test_a_built_in_source_is_trained_once(prepared, source):
    config, found = prepared
    assert len(found.source.classes) == 37 and found.source.image_shape == (8, 8, 1)
    assert found.classes == tuple("0123456789")
    written = Path(source, "summary.json").stat().st_mtime_ns
    again = targets.prepare(replace(config, workdir=f"{config.workdir}/full-4"))
    assert_same(found.source.variables, again.source.variables)
    assert found.weights == again.weights
    assert Path(source, "summary.json").stat().st_mtime_ns == written
    for other in (replace(config, source="first_half"), replace(config, image_size=16)):
        with pytest.raises(ValueError, match="holds another network: use another --workdir"):
            targets.prepare(other)


def test_the_target_is_the_other_half(target):
    _, found = target
    assert found.source.classes == tuple("01234") and found.classes == tuple("56789")
    assert np.bincount(found.validation["label"]).tolist() == [3] * 5
    assert len(found.test["label"]) == 20 and len(found.kept) <= 2 * 4 * 5
    for seed in (0, 1):
        one, four = found.pick(1, seed), found.pick(4, seed)
        assert np.bincount(found.train["label"][four]).tolist() == [4] * 5 and set(one) < set(four)
    held = {image.tobytes() for image in found.validation["image"]}
    assert not held & {image.tobytes() for image in found.train["image"]}


@pytest.mark.parametrize(
    "method, changes, shared",
    [
        ("scratch", {}, False),
        ("full", {"l2_sp": 0.1, "unfreeze": 2, "batch_norm": "trained"}, True),
        ("llrd", {"flip": True, "crop": 1, "ema": 0.9}, True),
        ("lora", {"rank": 2}, True),
    ],
)
def test_each_method_starts_where_it_should(target, method, changes, shared):
    """By shapes alone a step is taken; the pretrained kernels (all 0.5) are there, or are not."""
    config = configured(method=(method,), shots=(4,), head="random", baselines=False, **changes)
    experiment = methods.build(config, target[1])
    task = experiment.task(config)
    state = jax.eval_shape(
        jax.vmap(task.init), jax.random.split(jax.random.key(0), 2), *experiment.init_args
    )
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), state)
    batch = {
        "image": jax.ShapeDtypeStruct((4, 8, 8, 1), np.uint8),
        "label": jax.ShapeDtypeStruct((4,), np.int32),
    }
    after, _ = jax.eval_shape(task.step, state, batch, jax.random.key(0))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
    assert (targets.WEIGHTS in experiment.data.derived) == shared
    kernels = [x for x in jax.tree.leaves(experiment.init_args) if np.ndim(x) == 5]
    assert bool(kernels) == shared and all(np.all(kernel == 0.5) for kernel in kernels)


def test_a_new_head_starts_at_a_probe(npz, source):
    """The heads of both seeds, on plain features, classify their own labelled images."""
    config = configured(source=source, dataset=npz, method=("full",), shots=(4,))
    found = targets.prepare(config)
    (variables,) = methods.init_args(config, found)
    head = variables["params"]["classifier"]
    for seed in range(2):
        chosen = found.pick(4, seed)
        logits = found.features["train"][chosen] @ head["kernel"][seed] + head["bias"][seed]
        right = np.mean(np.argmax(logits, -1) == found.train["label"][chosen])
        assert right > 0.7  # a third by chance; the features are nearly random


def test_former_names_of_values():
    assert from_json(Config, {"method": ["lwlr", "full"]}).method == ("llrd", "full")
    assert (
        sources.folder("runs/x/lwlr-10")
        == sources.folder("runs/x/llrd-10")
        == Path("runs/x/source")
    )
    assert sources.folder("runs/mine-10") == Path("runs/mine-10/source")


def test_each_source_has_a_default_workdir():
    assert Config().workdir == "runs/transfer_learning-digits"
    other = Config(source="runs/mine", dataset="tfds:mnist").workdir
    assert other == "runs/transfer_learning-mnist-from-mine"


def run(capsys, *words) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        run_main(transfer_learning.run, Config, "", ["script", *words])
    return end.value.code, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["--method=lwlr"], 2, "method: 'lwlr' is now 'llrd'"),
        (["--method=ful"], 2, "method must be one of scratch, probe, full"),
        (["--method=none"], 2, "it goes with --predict or --features"),
        (["--shots="], 2, "method and shots need a value each"),
        (["--sweep=learning_rate=1,2"], 2, "unknown flag --sweep"),
        (["--source=nowhere"], 1, "nowhere does not exist"),
        (
            ["--dataset=NPZ", "--source=first_half"],
            1,
            "too few to pretrain on half of them: give another --source",
        ),
        (["--dataset=NPZ", "--source=SOURCE", "--shots=90"], 1, "90 examples of each class are"),
        (
            ["--predict=x.png", "--workdir=COMPARED"],
            1,
            "compares several runs (lora-2, probe-2)",
        ),
        (["--predict=x.png", "--workdir=/nowhere/at/all"], 1, "holds no run: train first"),
    ],
)
def test_mistakes_end_in_one_line(
    capsys, monkeypatch, tmp_path, npz, source, compared, words, code, message
):
    monkeypatch.chdir(tmp_path)  # where no run lies in the default workdir
    places = {"NPZ": npz, "SOURCE": source, "COMPARED": compared[0].workdir}
    for name, place in places.items():
        words = [word.replace(name, place) for word in words]
    found, error = run(capsys, "--quiet", *words)
    assert found == code, error
    assert message in error and len(error.splitlines()) == 1 and error.startswith("error: ")
