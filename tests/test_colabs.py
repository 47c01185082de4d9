"""The notebooks: committed without outputs, installing on Colab alone, and running to their end."""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import types

import pytest

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "colabs").glob("*.ipynb"))


def cells(path: pathlib.Path, kind: str) -> list[dict]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
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
        "speech_recognition",
        "transfer_learning",
    ], "add its QUICK mode below"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs(path):
    for cell in cells(path, "code"):
        assert not cell["outputs"] and cell["execution_count"] is None, source(cell)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_opens_with_its_badge(path):
    first = source(cells(path, "markdown")[0])
    place = f"https://colab.research.google.com/github/dljax/dljax/blob/main/colabs/{path.name}"
    assert first.startswith("[![Open In Colab](") and f"]({place})" in first.splitlines()[0]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_installs_on_colab_alone(path, monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda words, **settings: calls.append(words))
    install = source(cells(path, "code")[0])
    exec(install, {})
    assert not calls
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(install, {})
    (words,) = calls
    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    assert "git+https://github.com/dljax/dljax" in words
    jax = [word for word in words if word.startswith("jax")]
    assert jax == [f"jax=={importlib.metadata.version('jax')}"]  # Colab's own stays


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
