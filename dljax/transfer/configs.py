"""Reads config.json and preprocessor_config.json as timm and transformers write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dljax.transfer.inputs import Input

RESAMPLE = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
# Other values mean another network with the same names and shapes.
EXPECTED = {
    "hidden_act": ("relu", "relu6"),
    "downsample_in_bottleneck": (False,),
    "downsample_in_first_stage": (False,),
    "output_stride": (32,),
}


class Configuration(NamedTuple):
    """The content of a configuration; fields that it lacks are None or empty.

    architecture: a name. settings: fields of the module. input: fields of `Input`. classes: names.
    """

    architecture: str | None
    settings: dict[str, Any]
    input: dict[str, Any]
    classes: tuple[str, ...]


def parse(config: Mapping[str, Any]) -> Configuration:
    """The Configuration in a JSON object.

    Raises ValueError for one of a network that dljax does not have, or in another format.
    """
    for name, usual in EXPECTED.items():
        if name in config and config[name] not in usual:
            raise ValueError(
                f"its configuration has {name}={str(config[name])[:50]}: not supported"
            )
    try:
        return Configuration(
            _architecture(config), _settings(config), _input(config), _classes(config)
        )
    except (TypeError, AttributeError, KeyError, IndexError, ValueError, ZeroDivisionError):
        raise ValueError("its configuration is not as timm or transformers write it") from None


def _architecture(config: Mapping[str, Any]) -> str | None:
    if config.get("model_type") == "resnet":
        layers = 2 if config.get("layer_type") == "basic" else 3
        return f"resnet{2 + layers * sum(config.get('depths', (3, 4, 6, 3)))}"
    name = config.get("architecture", config.get("model_type"))
    return None if name is None else str(name)


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    if config.get("model_type") != "mobilenet_v2":
        return {}
    padding, epsilon = config.get("tf_padding", True), config.get("layer_norm_eps", 1e-3)
    return {"same_padding": bool(padding), "epsilon": float(epsilon)}


def _input(config: Mapping[str, Any]) -> dict[str, Any]:
    timm = config.get("pretrained_cfg") or {}
    size, crop = (timm.get("input_size") or [None])[-1], timm.get("crop_pct")
    if "size" in config:  # transformers': the shorter side, and perhaps what is cut out of it
        side = _side(config["size"])
        size = _side(config.get("crop_size", side))
        crop = config.get("crop_pct") or size / side
    fields = {
        "size": None if size is None else int(size),
        "crop": None if crop is None else float(crop),
        "mean": timm.get("mean", config.get("image_mean")),
        "std": timm.get("std", config.get("image_std")),
        "interpolation": timm.get("interpolation", RESAMPLE.get(config.get("resample"))),
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in fields.keys() & {"mean", "std"}:
        fields[name] = tuple(map(float, fields[name]))
    if not Input(**fields).valid():
        raise ValueError(fields)
    return fields


def _side(size: Any) -> int:
    """A size as transformers have written it over the years: 224, [224, 224], {"height": 224}."""
    if isinstance(size, Mapping):
        return size.get("shortest_edge", size.get("height"))
    return size[0] if isinstance(size, list) else size


def _classes(config: Mapping[str, Any]) -> tuple[str, ...]:
    if "label_names" in config:
        return tuple(map(str, config["label_names"]))
    by_number = {int(number): str(name) for number, name in config.get("id2label", {}).items()}
    return tuple(by_number[number] for number in sorted(by_number))
