"""Which network of a file is meant, where it holds several: model and ema, student and teacher."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dljax.transfer.key_mapping import Row

AVERAGED = frozenset(  # words in the names of copies that follow another network
    ("ema", "average", "averaged", "avg", "teacher", "target", "momentum", "swa", "shadow", "k")
)


class Chosen(NamedTuple):
    """arrays: of one network, under its own names. name: of it in the file, "" for the whole.

    others: names of the other networks. beside: what else is in the file, '3 arrays of optimizer'.
    """

    arrays: dict[str, np.ndarray]
    name: str
    others: tuple[str, ...]
    beside: tuple[str, ...]


def prefixes(arrays: Mapping[str, np.ndarray], table: Sequence[Row]) -> list[str]:
    """What precedes the names of each network in a file ("state_dict.module."), by its stem."""
    stem = _name(table, "stem") + ".weight"
    found = [name.removesuffix(stem) for name in arrays if f".{name}".endswith(f".{stem}")]
    inside = re.compile("|".join(f"{_top(row)}[.]" for row in table))  # layer1.0.conv1 is no stem
    return [
        x
        for x in found
        if not any(x != y and x.startswith(y) and inside.match(x[len(y) :]) for y in found)
    ]


def choose(arrays: Mapping[str, np.ndarray], table: Sequence[Row], name: str = "") -> Chosen:
    """The network of that name; by default the only one that is no average of another.

    Raises ValueError, with their names, where none has the name or several are left.
    """
    found = {prefix.rstrip("."): prefix for prefix in prefixes(arrays, table)}
    if name:
        meant = [name] if name in found else [x for x in found if x.startswith(f"{name}.")]
        if len(meant) != 1:
            raise ValueError(f"it holds {'several' if meant else 'no'} networks {name!r}, but "
                             f"{_listed(found)}")  # fmt: skip
    else:
        meant = [x for x in found if not AVERAGED & set(re.split(r"[._]", x.lower()))] or [*found]
        if len(meant) > 1:
            raise ValueError(f"it holds several networks, {_listed(found)}: name one (--network)")
    prefix = found[meant[0]]
    others = [x for x in found.values() if x != prefix]
    of_others = tuple(x for x in others if x.startswith(prefix) or not prefix.startswith(x))
    chosen, beside = {}, Counter()
    for full, x in arrays.items():
        if of_others and full.startswith(of_others):
            continue
        if full.startswith(prefix):
            chosen[full.removeprefix(prefix)] = x
        else:
            beside[full.split(".")[0]] += 1
    return Chosen(
        chosen,
        meant[0],
        tuple(x.rstrip(".") for x in others),
        tuple(f"{count} arrays of {top}" for top, count in beside.items()),
    )


def without_head(
    arrays: Mapping[str, np.ndarray], table: Sequence[Row], head: str
) -> tuple[dict[str, np.ndarray], str]:
    """The arrays with the last layer under its usual name, and the name that it had.

    "" where the file has none, and where it has several layers that may be the last one.
    """
    usual, arrays = _name(table, head), dict(arrays)
    weight = f"{usual}.weight"
    if weight in arrays and arrays[weight].ndim:
        return arrays, usual
    inside = re.compile("|".join(f"{_top(row)}[.]" for row in table if row[0] != head))
    outside = [x for x in arrays if not inside.match(x)]
    layers = [x.removesuffix(".weight") for x in outside
              if x.endswith(".weight") and arrays[x].ndim == 2]  # fmt: skip
    if len(layers) != 1 or {x.rpartition(".")[0] for x in outside} != set(layers):
        return arrays, ""
    for leaf in ("weight", "bias"):
        if f"{layers[0]}.{leaf}" in arrays:
            arrays[f"{usual}.{leaf}"] = arrays.pop(f"{layers[0]}.{leaf}")
    return arrays, layers[0]


def of_backbone(name: str, table: Sequence[Row], head: str) -> bool:
    """Whether an array's name lies where those of the layers before the last one do."""
    return any(re.match(f"{_top(row)}[.]", name) for row in table if row[0] != head)


def _name(table: Sequence[Row], layer: str) -> str:
    return next(name for ours, name, _ in table if ours == layer)


def _top(row: Row) -> str:
    """The first part of a row's name, as an expression: layer{} is any layer."""
    return re.escape(row[1].split(".")[0]).replace(r"\{\}", r"\d+")


def _listed(found: Mapping[str, str]) -> str:
    return ", ".join(repr(x) if x else "one without a name" for x in found) or "none"
