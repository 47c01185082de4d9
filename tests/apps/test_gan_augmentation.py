"""The comparison of gan_augmentation, as small as it can be, and its mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest

from dljax.apps import gan_augmentation, image_classification, image_gan
from dljax.apps.augmentation import report, training
from dljax.apps.configs.gan_augmentation import Config
from dljax.run import session
from dljax.run.command_line import UsageError, parse
from dljax.run.experiment import Outcome
from dljax.train import loop
from dljax.train.parallel import place
from tests.gan import clips as small
from tests.helpers import stripes

QUICK = {
    "labels": (3,),
    "shares": (0.5,),
    "steps": 2,
    "gan_steps": 2,
    "gan_width": 2,
    "samples": 20,
    "num_seeds": 2,
    "batch_size": 8,
    "validation": 0.25,  # as many images as are tested with: one program evaluates both
    "parallel": "none",
}


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "stripes.npz"
    arrays = {}
    for part, count in {"train": 48, "test": 12}.items():
        data = stripes(count, seed=count)
        arrays |= {f"{part}_images": data["image"], f"{part}_labels": data["label"][:, None]}
    np.savez(path, **arrays)
    return path


def drawn(config) -> dict[int, dict[str, np.ndarray]]:
    """Images that stand for the samples of each seed."""
    seeds = range(config.seed, config.seed + config.num_seeds)
    return {seed: dict(stripes(20, seed=seed)) for seed in seeds}


def test_samples_of_each_seed(npz, tmp_path, monkeypatch):
    """Of small GANs that were not trained: what trains them is tested with image_gan."""
    monkeypatch.setattr(
        image_gan, "networks", lambda *_: (small.DenseGenerator(), small.DenseDiscriminator())
    )
    config = Config(**QUICK, workdir=tmp_path, dataset=npz)
    begun = {"steps": 0}

    def start(flags, data, labels, task, batches):
        run = loop.start(task, session.seeds(flags), place("none"))
        assert np.isin(
            batches.chunk(1, 0, 20), training.labelled_by_seed(data, 3)(1)
        ).all()  # no other image
        return Outcome(run, {}, begun), None

    monkeypatch.setattr(training, "_train", start)
    samples, summary = training.generated(config, training.prepare(config), 3)
    assert samples.keys() == {0, 1} and summary is begun
    assert samples[0]["image"].shape == (20, 8, 8, 1) and samples[0]["image"].dtype == np.uint8
    assert samples[0]["label"][:4].tolist() == [0, 1, 2, 0]
    assert not np.array_equal(samples[0]["image"], samples[1]["image"])


def test_a_classifier_is_a_run_to_be_used(npz, tmp_path):
    config = Config(**QUICK, workdir=tmp_path, dataset=npz)
    data = training.prepare(config)
    one = training.trained(config, data, "samples", 3, 0.5, drawn(config))
    accuracy = report.test_accuracy(data, [one])["samples"][3]
    assert accuracy.shape == (2,) and 0 <= one.validation() <= 1
    assert image_classification.load(str(tmp_path / "3" / "samples-0.5")).step == 2


def test_each_seed_has_labels_of_its_own_and_all_arms_the_same(npz, tmp_path, monkeypatch):
    """The batches, without training."""
    config = Config(**QUICK, workdir=tmp_path, dataset=npz)
    data, samples, batches_of = training.prepare(config), drawn(config), {}

    def train(flags, data, labels, task, batches, normalize=None):
        index = batches.chunk(1, 0, 40)
        labelled = np.unique(index[index < len(data.train["label"])])
        batches_of[Path(flags.workdir).name] = (
            labelled,
            (index >= len(data.train["label"])).mean(),
            flags,
        )
        return None, None

    monkeypatch.setattr(training, "_train", train)
    for arm in training.ARMS:
        training.trained(config, data, arm, 3, 0.5, samples if arm in training.SAMPLES else None)
    images, shares, flags = zip(*batches_of.values(), strict=True)
    assert list(batches_of) == ["alone", "standard", "samples-0.5", "both-0.5"]
    assert all(np.array_equal(x, images[0]) for x in images) and len(images[0]) == 9
    assert shares[:2] == (0, 0) and all(abs(x - 0.5) < 0.1 for x in shares[2:])
    assert [(x.crop, x.rotation, x.steps, x.batch_size) for x in flags] == [
        (0, 0, 2, 8), (0, 10, 2, 8), (0, 0, 2, 8), (0, 10, 2, 8)
    ]  # fmt: skip
    assert not np.array_equal(
        training.labelled_by_seed(data, 3)(0), training.labelled_by_seed(data, 3)(1)
    )


def test_the_comparison_chooses_by_validation_and_reports(npz, tmp_path, monkeypatch, capsys):
    """Arms of given accuracies: samples help by 10 points, with augmentation by none."""
    config = Config(**QUICK | {"shares": (0.25, 0.5)}, workdir=tmp_path, dataset=npz)
    summary = {"seconds": {"train": 1.0}, "steps": 2}
    test = {
        "alone": (0.5, 0.6),
        "standard": (0.7, 0.7),
        "samples": (0.6, 0.7),
        "both": (0.75, 0.65),
    }

    def trained(config, data, arm, labels, share, samples):
        accuracy = {"metrics": {"accuracy": {"mean": 0.9 - abs(share - 0.25)}}}
        outcome = Outcome(None, {}, summary | accuracy)
        return training.Trained(arm, labels, share, None, None, outcome)

    monkeypatch.setattr(training, "generated", lambda config, data, n: (drawn(config), summary))
    monkeypatch.setattr(training, "trained", trained)
    monkeypatch.setattr(
        report,
        "test_accuracy",
        lambda data, chosen: {k: {3: np.array(v)} for k, v in test.items()},
    )
    found = gan_augmentation.train(config).summary
    assert json.loads((tmp_path / "summary.json").read_text()) == found
    assert found["shares"] == {"samples_3": 0.25, "both_3": 0.25}
    assert found["seconds"]["train"] == 7 and found["steps_per_second"] == 2  # of 7 trainings
    np.testing.assert_allclose(found["gains"]["samples over alone"]["3"], [0.1, 0.1, 0.1])
    assert found["gains"]["both over standard"]["3"][0] == pytest.approx(0)
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"gains.png", "samples_3.png"}
    output = capsys.readouterr().out
    assert "3 labels, samples over alone: +10.0 [+10.0, +10.0] points: the samples help" in output
    assert "both over standard: +0.0 [-63.5, +63.5] points: no significant" in output


def test_mistakes(npz, tmp_path):
    for changes, message in {
        ("labels", (40,)): "40 examples of each class are needed",
        ("dataset", "digit"): "Unknown data set 'digit'",
    }.items():
        values = QUICK | {"workdir": tmp_path, "dataset": npz} | dict([changes])
        with pytest.raises(ValueError, match=message):
            gan_augmentation.train(Config(**values))
    with pytest.raises(ValueError, match="labels and shares need a value each"):
        Config(labels=())
    with pytest.raises(UsageError, match="unknown flag --predict"):
        parse(Config, ["x", "--predict=x.png"])
    with pytest.raises(ValueError, match="gan_augmentation has no sweep"):
        Config(sweep=("learning_rate=1e-3",))
