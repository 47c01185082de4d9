"""Exported models: the file computes what the function does, and errors are one line."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export

from dljax.nn.convolution import conv
from dljax.train import export

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)


def function(weights, inputs):
    """A 1x1 convolution of bytes plus a row of numbers."""
    y = conv(inputs["image"] / jnp.float32(255), weights["kernel"]).sum((1, 2))
    return {"sum": y + inputs["row"] @ weights["square"]}


SERVING = export.Serving(
    function,
    {
        "kernel": RNG.normal(size=(1, 1, 3, 2)).astype(np.float32),
        "square": np.eye(2, dtype=np.float32),
    },
    {
        "image": export.Field((4, 5, 3), "uint8", about="pixels"),
        "row": export.Field((2,), low=-1, high=1, names=("left", "right"), about="two numbers"),
    },
    {"sum": export.Field((2,), names=("a", "b"), about="their sum")},
    {"experiment": "a test"},
)


def inputs(count: int) -> dict[str, np.ndarray]:
    image = RNG.integers(0, 256, (count, 4, 5, 3), dtype=np.uint8)
    return {"image": image, "row": RNG.uniform(-1, 1, (count, 2)).astype(np.float32)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.zip"
    export.write(path, SERVING)
    return path


@pytest.fixture(scope="module")
def model(path):
    return export.load(path)


def test_the_file_computes_what_the_function_does(path, model):
    for count in (1, 3, 300):  # the last in two pieces
        given = inputs(count)
        here, there = export.answers(SERVING, given), model(**given)
        assert here.keys() == there.keys() == {"sum"}
        np.testing.assert_array_equal(here["sum"], there["sum"])
        by_hand = np.einsum("bhwi,io->bo", given["image"] / 255, SERVING.weights["kernel"][0, 0])
        np.testing.assert_allclose(there["sum"], by_hand + given["row"], rtol=1e-4, atol=1e-3)
    assert [file.name for file in path.parent.iterdir()] == ["model.zip"]  # nothing half-written


def test_the_manifest_describes_inputs_and_outputs(model):
    manifest = model.manifest
    assert manifest["experiment"] == "a test" and manifest["platforms"] == ["cpu", "cuda", "tpu"]
    assert manifest["inputs"]["image"]["shape"] == ["batch", 4, 5, 3]
    assert manifest["inputs"]["row"]["names"] == ["left", "right"]
    assert manifest["outputs"]["sum"] == {
        "shape": ["batch", 2], "dtype": "float32", "low": None, "high": None,
        "names": ["a", "b"], "about": "their sum",
    }  # fmt: skip
    assert manifest["versions"]["jax"] == jax.__version__ and manifest["weights"] == 10


def test_the_readme_runs_without_dljax(path, tmp_path):
    """Its code, in the unpacked folder, in a process that can't import dljax."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    readme = (tmp_path / "README.md").read_text()
    code = readme[readme.index("    import jax, numpy") :].split("\n\n")[0]
    given = inputs(3)
    np.savez(tmp_path / "given.npz", **given)
    lines = ["import numpy as np", "given = np.load('given.npz')"]
    lines += ["image, row = given['image'], given['row']"]
    lines += [line.removeprefix("    ") for line in code.splitlines()]
    lines += ["np.save('answer.npy', outputs['sum'])"]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, check=True)
    here = export.answers(SERVING, given)["sum"]
    np.testing.assert_array_equal(np.load(tmp_path / "answer.npy"), here)


def program(tmp_path, platform: str) -> str:
    export.write(tmp_path / platform, SERVING, (platform,))
    with zipfile.ZipFile(tmp_path / platform) as archive:
        return jax_export.deserialize(bytearray(archive.read("program.bin"))).mlir_module()


def test_each_platform_gets_its_own_form_of_a_convolution(tmp_path):
    assert "stablehlo.convolution" in program(tmp_path, "cuda")
    assert "stablehlo.convolution" not in program(tmp_path, "cpu")  # a product of matrices there
    with pytest.raises(export.OtherPlatform, match="is for cuda, not for cpu: export it"):
        export.load(tmp_path / "cuda")


IMAGE, ROW = inputs(2).values()
WRONG = {
    "a name": ({"picture": IMAGE, "row": ROW}, "the inputs are image, row; given: picture, row"),
    "one missing": ({"image": IMAGE}, "the inputs are image, row; given: image"),
    "a shape": ({"image": IMAGE[:, :3], "row": ROW}, r"\(2, 3, 5, 3\), it must be \[B, 4, 5, 3\]"),
    "no batch": ({"image": IMAGE[0], "row": ROW[0]}, r"image has the shape \(4, 5, 3\)"),
    "nothing": ({"image": IMAGE[:0], "row": ROW[:0]}, "with B >= 1"),
    "floats for bytes": ({"image": IMAGE / 255, "row": ROW}, "float64, it must be uint8"),
    "no bytes": ({"image": IMAGE + np.int64(300), "row": ROW}, "values outside of 0 to 255"),
    "too large": ({"image": IMAGE, "row": ROW + 3}, "row has values outside of -1 to 1"),
    "NaN": ({"image": IMAGE, "row": ROW * np.nan}, "row has values that are not finite"),
    "text": ({"image": IMAGE, "row": [["a", "b"]] * 2}, "row has the type <U1"),
    "numbers": ({"image": IMAGE, "row": ROW[:1]}, "different numbers of examples"),
}


@pytest.mark.parametrize("name", WRONG)
def test_inputs_that_do_not_fit(model, name):
    given, message = WRONG[name]
    with pytest.raises(ValueError, match=message) as error:
        model(**given)
    assert "\n" not in str(error.value)


def test_inputs_that_only_look_different_fit(model):
    given = {"image": IMAGE.astype(np.int64).tolist(), "row": ROW.astype(np.float64)}
    np.testing.assert_array_equal(model(**given)["sum"], model(image=IMAGE, row=ROW)["sum"])


def changed(path: Path, target: Path, part: str, change) -> Path:
    """A copy of the file with one of its parts changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
    return target


def with_values(**values):
    return lambda text: json.dumps(json.loads(text) | values).encode()


DAMAGED = {
    "of a newer jax": (
        "model.json",
        with_values(calling_convention=99),
        "is too old for .* written by",
    ),
    "of an older jax": (
        "model.json",
        with_values(calling_convention=1),
        "is too new for .* written by",
    ),
    "of another format": ("model.json", with_values(format=2), "is of format 2, this reads 1"),
    "no json": ("model.json", lambda text: text[:50], "is damaged or no exported model"),
    "half a program": ("program.bin", lambda x: x[: len(x) // 2], "can't read the program in"),
    "half the weights": ("weights.npz", lambda x: x[: len(x) // 2], "is damaged or no exported"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_files_that_can_not_be_used(path, tmp_path, name):
    part, change, message = DAMAGED[name]
    with pytest.raises(ValueError, match=message) as error:
        export.load(changed(path, tmp_path / "model.zip", part, change))
    assert "\n" not in str(error.value)


def test_broken_and_missing_files(path, tmp_path):
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 255
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("photo.txt", "nothing")
    for name, data in {
        "cut": content[: len(content) // 2],
        "flipped": bytes(flipped),
        "empty": b"",
        "other": other.getvalue(),
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match="is damaged or no exported model"):
            export.load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="there is no file .*experiments.export writes"):
        export.load(tmp_path / "missing.zip")


def test_a_description_that_does_not_hold_is_refused(tmp_path):
    wrong = SERVING._replace(outputs={"sum": export.Field((3,))})
    with pytest.raises(ValueError, match="the function returns .* but declares"):
        export.write(tmp_path / "model.zip", wrong, ("cpu",))
    assert not list(tmp_path.iterdir())


def test_a_program_of_a_newer_jax_is_told_when_it_is_loaded(tmp_path, monkeypatch):
    """It may parse and fail when it is compiled: so it is tried, where its jax is newer."""
    export.write(tmp_path / "model.zip", SERVING, ("cpu",))
    monkeypatch.setattr(jax, "__version__", "0.4.1")
    given = {name: export._blank(field)[:1] for name, field in SERVING.inputs.items()}
    loaded = export.load(tmp_path / "model.zip")
    assert loaded(**given).keys() == SERVING.outputs.keys()

    def refuse(self, *arguments):
        raise RuntimeError("unknown custom call\nof another release")

    monkeypatch.setattr(jax_export.Exported, "call", property(lambda self: refuse))
    message = r"jax 0\.4\.1 can't read the program in .*written by jax .*unknown custom call"
    with pytest.raises(ValueError, match=message) as caught:
        export.load(tmp_path / "model.zip")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(jax_export.Exported, "mlir_module", refuse)
    monkeypatch.setattr(jax, "__version__", "99.0")
    with pytest.raises(ValueError, match="can't read the program in"):
        export.load(tmp_path / "model.zip")
