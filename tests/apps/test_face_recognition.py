"""Face recognition as a command: each protocol, the gallery, verification, mistakes."""

import json
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dljax.apps import export
from dljax.apps import face_recognition as app
from dljax.apps.configs.export import Config as ExportConfig
from dljax.apps.configs.face_recognition import Config
from dljax.apps.faces import gallery, scoring, splits
from dljax.apps.faces.pictures import occluded
from dljax.data.sources.people import Faces, load_faces
from dljax.data.sources.people.lfw import FoldPairs
from dljax.run.command_line import UsageError, parse
from dljax.train import export as exported
from tests.cnn.faces import blobs

QUICK = {
    "model": "cnn",
    "widths": (8,),
    "features": 8,
    "image_size": (16, 16),
    "rotation": 0.0,
    "zoom": 0.0,
    "shift": 0.0,
    "light": 0.1,
    "flip": False,
    "learning_rate": 1e-2,
    "steps": 30,
    "batch_size": 12,
    "num_seeds": 1,
    "folds": 2,
    "validation": 0.4,
    "enrolled": 2,
    "parallel": "none",
    "baselines": False,
    "plots": False,
    "quiet": True,
}
PEOPLE = 10


def configured(**changes) -> Config:
    return Config(**(QUICK | changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five images of each of ten made-up people, with two folds of pairs of four of them."""
    root = tmp_path_factory.mktemp("faces")
    data = blobs(5 * PEOPLE, PEOPLE)
    for i, (image, person) in enumerate(zip(data["image"], data["label"], strict=True)):
        target = root / f"p{person}"
        target.mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(target / f"p{person}_{i // PEOPLE + 1:04d}.png")
    lines = ["2 1", "p0 1 2", "p0 1 p1 2", "p2 1 2", "p2 3 p3 4"]
    (root / "pairs.txt").write_text("\n".join(lines))
    return root


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A run on the open set, and what came out of it."""
    config = configured(
        dataset=folder, workdir=tmp_path_factory.mktemp("open") / "run", plots=True, baselines=True,
        num_seeds=2,
    )  # fmt: skip
    return config, app.train(config)


def test_the_open_set(trained):
    config, outcome = trained
    found, workdir = outcome.summary, config.workdir
    values = found["metrics"]
    assert {"eer", "tar_far_1e-2", "tar_far_1e-3", "false_match_rate", "rank_1"} <= set(values)
    assert len(values["eer"]["per_seed"]) == 2 and 0 <= values["eer"]["mean"] <= 1
    interval = found["faces"]["intervals"]["eer"]
    assert interval["low"] <= interval["value"] <= interval["high"]
    assert interval["value"] == pytest.approx(values["eer"]["per_seed"][0])
    assert {"pixels", "eigenfaces", "lda"} == set(found["baselines"])
    assert "false match rate of 1.00% on the held-out people" in found["notes"][-1]
    drawn = {path.name for path in (app.session.Path(workdir) / "plots").iterdir()}
    assert {"det.png", "hardest_pairs.png", "embeddings.png", "occlusion.png"} <= drawn


def test_the_closed_set(folder, tmp_path):
    config = configured(dataset=folder, workdir=tmp_path, protocol="closed", baselines=True)
    found = app.train(config).summary
    assert found["metrics"]["error"]["mean"] + found["metrics"]["rank_1"]["mean"] == 1
    assert set(found["baselines"]) == {"pixels", "eigenfaces", "svm", "lda"}
    assert len(found["faces"]["cmc"]) == PEOPLE and found["faces"]["cmc"][-1] == 1
    assert found["faces"]["decision"] is None


def test_pairs_in_folds(folder, tmp_path):
    config = configured(dataset=folder, workdir=tmp_path, protocol="pairs")
    found = app.train(config).summary["metrics"]
    assert found["accuracy"]["mean"] in (0, 0.25, 0.5, 0.75, 1)
    assert "standard_error" in found


def test_triplets_on_the_frozen_backbone(folder, tmp_path):
    config = configured(
        dataset=folder, workdir=tmp_path, model="efficientnet_lite0", loss="triplet", views=1,
        image_size=(32, 32), batch_size=12, steps=2, flip=True, features=64,
    )  # fmt: skip
    outcome = app.train(config)
    state = outcome.run.states.network
    assert state.model_state["whitening"]["mean"].shape[-1] == 2 * 112
    assert state.params["change"]["kernel"].shape[-1] == 14  # of 15 training images
    served = app.serving(Config(workdir=tmp_path))
    exported.write(tmp_path / "model.zip", served, ("cpu",))
    faces = load_faces(str(folder), app.face_data.frame_of(config))
    x = exported.answers(served, {"image": faces.images[:5]})["embedding"]
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    assert app.gallery.model(served, None, None, str(tmp_path)).channels() == 1


def small(person, pairs=None) -> Faces:
    person = np.asarray(person, np.int32)
    names = tuple(f"p{i}" for i in range(person.max() + 1))
    files = tuple(map(str, range(len(person))))
    return Faces("x", np.zeros((len(person), 2, 2, 1), np.uint8), person, names, files, pairs=pairs)


def test_splits_keep_people_apart():
    faces = small(np.repeat(np.arange(12), 4))
    tested = []
    for fold in range(3):
        found = splits.split(configured(folds=3, fold=fold, validation=0.25), faces)
        parts = [set(faces.person[rows]) for rows in found[:3]]
        assert [len(part) for part in parts] == [6, 2, 4]
        assert not parts[0] & parts[1] and not (parts[0] | parts[1]) & parts[2]
        tested += sorted(parts[2])
    assert sorted(tested) == list(range(12))
    one, other = (splits.split(configured(folds=3, split_seed=i), faces).test for i in (0, 1))
    assert list(one) != list(other)


def test_the_closed_split():
    faces = small([0, 0, 0, 1, 1, 1, 1, 2])
    found = splits.split(configured(protocol="closed", enrolled=2, split="first"), faces)
    np.testing.assert_array_equal(found.train, [0, 1, 3, 4, 7])
    np.testing.assert_array_equal(found.test, [2, 5, 6])
    assert "1 of 3 people have no image left" in found.notes[0]
    with pytest.raises(ValueError, match="nobody has more than enrolled=5"):
        splits.split(configured(protocol="closed", enrolled=5), faces)


def test_people_of_pairs_are_not_trained_on():
    pairs = FoldPairs(np.array([[0, 1], [0, 2]]), np.array([True, False]), np.array([0, 0]))
    faces = small(np.repeat(np.arange(6), 2), pairs)
    found = splits.split(configured(protocol="pairs", validation=0.0), faces)
    np.testing.assert_array_equal(found.test, [0, 1, 2, 3])
    assert not len(found.validation)
    with pytest.raises(ValueError, match="x has no pairs.txt"):
        splits.split(configured(protocol="pairs"), faces._replace(pairs=None))
    with pytest.raises(ValueError, match="too few for 4 folds"):
        splits.split(configured(folds=4), faces)


def test_folds_choose_their_threshold_elsewhere():
    """Fold 0 is told apart at .5, the others at .2: its threshold comes from them."""
    angles = np.arccos([0.6, 0.4, 0.3, 0.1, 0.3, 0.1])
    x = np.concatenate([[[1.0, 0.0]], np.stack([np.cos(angles), np.sin(angles)], 1)])
    rows = np.array([[0, i] for i in range(1, 7)])
    pairs = FoldPairs(rows, np.array([True, False] * 3), np.repeat(np.arange(3), 2))
    accuracy, _ = scoring.fold_accuracy(x, pairs)
    np.testing.assert_array_equal(accuracy, [0.5, 1, 1])


def test_the_threshold_of_most_right():
    scores, same = np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, True, False, True])
    assert scoring.best_threshold(scores, same) == pytest.approx(0.15)
    assert scoring.best_threshold(scores, ~same) == pytest.approx(-0.9)


def test_enroll_identify_verify_remove(trained, folder, tmp_path, capsys):
    config, _ = trained
    use = {"workdir": config.workdir}
    first, second = folder / "p1" / "p1_0001.png", folder / "p2" / "p2_0001.png"
    with pytest.raises(ValueError, match="nobody is enrolled"):
        app.run(Config(**use, identify=first))
    app.run(Config(**use, enroll=folder))
    with np.load(app.session.Path(config.workdir) / gallery.FILE) as found:
        assert set(found.files) == {"names", "templates", "digest"}
        assert found["templates"].shape == (PEOPLE, 16)  # of two seeds
        np.testing.assert_allclose(np.linalg.norm(found["templates"], axis=1), 1, atol=1e-5)
    model = app.opened(Config(**use))
    rows = gallery.identify(model, str(folder))
    assert len(rows) == 5 * PEOPLE and {"file", "person", "cosine", "best"} == set(rows[0])
    right = np.mean([row["best"].split()[0] in row["file"].split("/") for row in rows])
    assert right > 0.6
    same = gallery.verify(model, str(first), str(first))
    assert same["cosine"] == pytest.approx(1, abs=1e-4)
    other = gallery.verify(model, str(first), str(second))
    assert 0 <= other["probability"] < same["probability"] <= 1
    app.run(Config(**use, enroll=folder))  # replaces
    assert len(gallery.read(model.workdir).names) == PEOPLE
    app.run(Config(**use, remove="p3"))
    assert "p3" not in gallery.read(model.workdir).names
    with pytest.raises(ValueError, match="'p3' is not in the gallery"):
        app.run(Config(**use, remove="p3"))
    stale = model._replace(digest="another")
    with pytest.raises(ValueError, match="made by another network"):
        gallery.identify(stale, str(first))
    (model.workdir / gallery.FILE).write_bytes(b"broken")
    with pytest.raises(ValueError, match="is damaged"):
        gallery.identify(model, str(first))
    (model.workdir / gallery.FILE).unlink()
    assert "removed" in capsys.readouterr().out


def test_scoring_other_people(trained, folder, tmp_path, capsys):
    config, _ = trained
    found = app.evaluate(Config(workdir=config.workdir), str(folder))  # which has pairs.txt
    assert set(found["metrics"]) >= {"accuracy", "standard_error", "eer"}
    for i in range(3):
        (tmp_path / "others").mkdir(exist_ok=True)
        (tmp_path / "others" / f"p{i}").symlink_to(folder / f"p{i}")
    found = app.evaluate(Config(workdir=config.workdir), str(tmp_path / "others"))
    assert {"eer", "false_match_rate", "true_match_rate"} <= set(found["metrics"])
    assert "3 unseen people" in capsys.readouterr().out


def test_export(trained, folder):
    config, _ = trained
    path = export.export(ExportConfig(workdir=config.workdir, platforms=("cpu",)))
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("model.json"))
    assert manifest["inputs"]["image"]["shape"] == ["batch", 16, 16, 1]
    faces = load_faces(str(folder), app.face_data.frame_of(config))
    there = exported.load(path)(image=faces.images)["embedding"]
    here = app.opened(Config(workdir=config.workdir)).embed(faces.images)
    np.testing.assert_allclose(there, here, atol=1e-5)


def test_seeds_together_have_the_mean_cosine():
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    joined = app.analysis.embedding.together(x)
    np.testing.assert_allclose(joined @ joined.T, np.mean(x @ np.moveaxis(x, 1, 2), 0), atol=1e-6)
    again = app.analysis.embedding.together(jnp.asarray(x))
    np.testing.assert_allclose(again, joined, atol=1e-6)


def test_a_square_hides_each_place():
    image = np.random.default_rng(0).integers(0, 255, (40, 30, 1)).astype(np.uint8)
    copies, (rows, columns) = occluded(image)
    assert len(copies) == rows * columns
    assert (copies != image).any(0).mean() > 0.9


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--fold=4"], "fold is 0 to 3"),
        (["--verify=a.png"], "verify is two images"),
        (["--verify="], "--verify is empty"),
        (["--enroll=x", "--identify=y"], "--enroll and --identify do not go together"),
        (["--remove=x", "--verify=a,b"], "--verify and --remove do not go together"),
        (["--image_size=5,5"], "image_size must be at least 16"),
        (["--image_size=50"], "image_size is height,width"),
        (["--loss=triplet", "--batch_size=6"], "multiple of images_each=4"),
        (["--loss=triplet", "--images_each=1"], "images_each of 2 or more"),
    ],
)
def test_mistakes_are_one_line(flags, message):
    with pytest.raises((UsageError, ValueError), match=message):
        parse(Config, ["face_recognition", *flags])


def test_data_that_does_not_do(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        gallery.enroll(gallery.Model(None, None, None, tmp_path, ""), str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="too few for 9 folds"):
        app.build(configured(dataset=folder, workdir=tmp_path, folds=9))
