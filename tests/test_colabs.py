"""The notebooks: committed without outputs, installing on Colab alone, and running to their end."""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import types

import jax
import pytest

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "colabs").glob("*.ipynb"))


FEWER = """# Of the embedded images that are made at each start, as many as a test needs
import gc

from dljax.data.sources import vision
from dljax.data.sources.medical import brain

vision.SCENES, vision.HELD_OUT = 200, 50
gc.set_threshold(50_000, 10, 10)  # as conftest.py
brain.COUNTS.update(train=2, validation=1, test=2)
brain.PARTS.update(train=slice(60, 84), validation=slice(132, 140), test=slice(180, 196))
"""


def cells(path: pathlib.Path, kind: str) -> list[dict]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
        "anomaly_detection",
        "autonomous_driving",
        "face_recognition",
        "forecasting",
        "gan",
        "image_classification",
        "image_segmentation",
        "language_modeling",
        "medical_imaging",
        "object_detection",
        "reinforcement_learning",
        "sequence_probes",
        "speech_recognition",
        "transfer_learning",
    ], "add its QUICK mode below"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs(path):
    for cell in cells(path, "code"):
        assert not cell["outputs"] and cell["execution_count"] is None, source(cell)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_keeps_compiled_programs(path):
    assert sum("prepare()" in source(cell) for cell in cells(path, "code")) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_opens_with_its_badge(path):
    first = source(cells(path, "markdown")[0])
    place = f"https://colab.research.google.com/github/dljax/dljax/blob/main/colabs/{path.name}"
    assert first.startswith("[![Open In Colab](") and f"]({place})" in first.splitlines()[0]
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    assert metadata["colab"]["name"] == path.name  # what Colab calls it when it is saved
    assert f"]({place})" in (ROOT / "docs" / f"{path.stem}.md").read_text(encoding="utf-8")


@pytest.fixture
def installed(monkeypatch):
    """Runs the first cell, which is the same in all notebooks; the words of its calls of pip."""
    (install,) = {source(cells(path, "code")[0]) for path in NOTEBOOKS}
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda words, **settings: calls.append(words))

    def run() -> list[list[str]]:
        calls.clear()
        exec(install, names := {})
        oldest = ".".join(map(str, names["OLDEST"]))
        assert f"\njax>={oldest}," in (ROOT / "requirements.txt").read_text(encoding="utf-8")
        return calls

    return run


def test_installs_on_colab_alone(installed, monkeypatch, capsys):
    assert installed() == []
    shown = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    assert capsys.readouterr().out == f"jax {jax.__version__} on {shown}\n"
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    (words,) = installed()
    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    assert words[-2:] == ["git+https://github.com/dljax/dljax", f"jax=={jax.__version__}"]


@pytest.mark.parametrize(
    "packages, wanted",
    [
        (("jax_cuda12_plugin", "numpy"), "jax[cuda12]"),
        (("jax-cuda13-plugin",), "jax[cuda13]"),
        (("libtpu",), "jax[tpu]"),
        (("numpy",), "jax[]"),
    ],
)
def test_an_older_jax_is_replaced_by_one_of_its_kind(installed, monkeypatch, packages, wanted):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.7.2")
    found = [types.SimpleNamespace(name=name) for name in packages]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: found)
    (words,) = installed()
    assert words[-1] == wanted


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_to_its_end(path, tmp_path, monkeypatch):
    """In a kernel of this very interpreter that is registered nowhere, in an empty folder."""
    why = "requirements-dev.txt installs it: it executes the notebooks"
    nbclient = pytest.importorskip("nbclient", reason=why)
    pytest.importorskip("ipykernel", reason=why)
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    folders = {name: str(tmp_path / name) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    for name, value in {**folders, "PYTHONPATH": paths, "DLJAX_QUICK": "1"}.items():
        monkeypatch.setenv(name, value)
    # One device, as a reader's; compiled as the other tests, whose programs it shares.
    flags = [x for x in os.environ["XLA_FLAGS"].split() if "device_count" not in x]
    monkeypatch.setenv("XLA_FLAGS", " ".join(flags))
    monkeypatch.delenv("MPLBACKEND", raising=False)

    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(2, nbformat.v4.new_code_cell(FEWER))
    specs = KernelSpecManager(kernel_dirs=[])
    client = nbclient.NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs),
        resources={"metadata": {"path": str(tmp_path)}},
        timeout=600,
    )
    client.execute(cleanup_kc=True)  # raises what a cell raised, and ends the kernel

    shown = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        kinds = [kind for output in cell.outputs for kind in output.get("data", ())]
        if cell.source.rstrip().splitlines()[-1].startswith("Image("):
            assert any(kind.startswith("image/") for kind in kinds), cell.source
            shown += 1
    assert shown >= 5
    assert (tmp_path / "runs").is_dir(), "the notebook trains in the folder where it runs"
