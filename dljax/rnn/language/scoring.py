"""How well a language model expects a given text, by character and line; one step of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax.data.text import encoded
from dljax.data.tokens import BORDER, UNKNOWN, Tokens
from dljax.rnn.language.modeling import CHUNK, losses
from dljax.train import files
from dljax.train.export import Field, Serving

PART = 64 * CHUNK  # tokens in one call


class Line(NamedTuple):
    """A line of a text, counted from 1.

    characters, nats: those of its end are among them. text: without the end.
    """

    number: int
    characters: int
    nats: float
    nats_per_character: float
    text: str


def by_token(model: Any, variables: Any, ids: np.ndarray) -> np.ndarray:
    """-log p [N - 1] of each token after the first, the state carried through the whole text."""
    read = jax.jit(lambda *args: losses(model, *args, last=True))
    found, carries = [], model.start(1)
    for first in range(0, len(ids) - 1, PART):
        part = ids[first : first + PART + 1]
        filled = np.pad(part, (0, PART + 1 - len(part)), constant_values=BORDER)
        values, carries = read(variables, filled[None], carries)
        found.append(np.asarray(values)[0, : len(part) - 1])
    return np.concatenate(found)


def by_character(model: Any, variables: Any, tokens: Tokens, text: str) -> np.ndarray:
    """-log p [N] of each character of a text after a border.

    A token of several characters is spread evenly over its bytes.
    """
    ids = encoded(tokens, (text,))
    nats, sizes = by_token(model, variables, ids), tokens.bytes[ids[1:]]
    if tokens.kind == "characters":
        return nats
    each = np.repeat(nats / sizes, sizes)
    lengths = [len(x.encode("utf-8", errors="surrogateescape")) for x in text]
    return np.add.reduceat(each, np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(int))


def lines(text: str, nats: np.ndarray) -> list[Line]:
    """The lines of a text, which end at each \\n, as editors count; nats: of its characters."""
    found, first = [], 0
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        total = float(nats[first : first + len(line)].sum())
        shown = line.rstrip("\r\n")
        found.append(Line(number, len(line), total, total / len(line), shown))
        first += len(line)
    return found


def write(path: Path, rows: Iterable[Line]) -> None:
    """The lines as a CSV."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(Line._fields)
    for row in rows:
        numbers = f"{row.nats:.4f}", f"{row.nats_per_character:.4f}"
        writer.writerow((row.number, row.characters, *numbers, row.text))
    files.replace(path, out.getvalue().encode("utf-8", errors="surrogateescape"))


def printable(text: str) -> str:
    """A text with U+FFFD for each byte that is no UTF-8 (a surrogate, as of surrogateescape)."""
    return "".join("\ufffd" if "\ud800" <= x <= "\udfff" else x for x in text)


def unknown(tokens: Tokens, text: str) -> set[str]:
    """The characters of a text that the vocabulary does not have."""
    return set(text) - set(tokens.names) if tokens.kind == "characters" else set()


def listed(characters: Iterable[str], most: int = 12) -> str:
    """Characters by name for a reader, at most so many."""
    names = [f"{x!r} U+{ord(x):04X}" for x in sorted(characters)]
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def serving(
    model: Any, variables: Any, tokens: Tokens, metadata: Mapping[str, Any] | None = None
) -> Serving:
    """One step as a function to export: a token and the state before it -> logits, the state after.

    The state is that of the carries, one array for each; a text begins with zeros and token 0.
    """
    start, structure = jax.tree.flatten(model.start(1))

    def function(variables: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        carries = structure.unflatten([inputs[f"state_{i}"] for i in range(len(start))])
        carries, logits = model.apply(variables, inputs["token"][:, None], carries)
        after = {f"next_state_{i}": x for i, x in enumerate(jax.tree.leaves(carries))}
        return {"logits": logits[:, 0].astype(jnp.float32), **after}

    def field(x: Any, about: str) -> Field:
        whole = jnp.issubdtype(x.dtype, jnp.integer)
        return Field(x.shape[1:], str(x.dtype), *((0, 1) if whole else (None, None)), about=about)

    names = tokens.names
    return Serving(
        function,
        variables,
        {
            "token": Field((), "int32", 0, len(names) - 1, names, "0 marks the beginning"),
            **{f"state_{i}": field(x, "zeros at the beginning") for i, x in enumerate(start)},
        },
        {
            "logits": Field((len(names),), names=names, about="of the next token"),
            **{f"next_state_{i}": field(x, f"state_{i} after it") for i, x in enumerate(start)},
        },
        {**(metadata or {}), "tokens": tokens.saved, "unknown": UNKNOWN},
    )
