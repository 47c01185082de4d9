"""What single units of a language model follow: correlations with properties of the text.

Karpathy, Johnson & Fei-Fei (2015, section 4.2) found cells of LSTMs that count the length of a line
or are on inside quotes. Here a unit is chosen for each property by its correlation over the first
half of a text, and the correlation that is reported is that over the second half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from dljax.data.text import encoded
from dljax.data.tokens import Tokens

CHARACTERS = 6000  # of the text that is read


class Unit(NamedTuple):
    """The unit that follows a property best.

    index: among all units of all carries. correlation: over the second half of the text.
    activation: [N], after each character.
    """

    property: str
    index: int
    correlation: float
    activation: np.ndarray


def position_in_line(text: str) -> np.ndarray:
    """Characters since the last line end [N]."""
    return _since(text, lambda x: x == "\n")


def position_in_word(text: str) -> np.ndarray:
    """Letters since the last character that is no letter [N]."""
    return _since(text, lambda x: not x.isalpha())


def since_sentence_end(text: str) -> np.ndarray:
    """Characters since the last full stop, question or exclamation mark [N], at most 200."""
    return np.minimum(_since(text, lambda x: x in ".?!"), 200)


def inside_quotes(text: str) -> np.ndarray:
    """1 after an odd number of double quotes in the paragraph, else 0 [N]."""
    return _nested(text, '"“', '"”')


def inside_brackets(text: str) -> np.ndarray:
    """1 after an opening round bracket, until it closes or the paragraph ends [N]."""
    return _nested(text, "(", ")")


def capital(text: str) -> np.ndarray:
    """1 for capital letters [N]."""
    return np.array([float(x.isupper()) for x in text])


def line_end(text: str) -> np.ndarray:
    """1 for line ends [N]."""
    return np.array([float(x == "\n") for x in text])


PROPERTIES: dict[str, Callable[[str], np.ndarray]] = {
    "position in the line": position_in_line,
    "position in the word": position_in_word,
    "characters since the end of a sentence": since_sentence_end,
    "inside quotes": inside_quotes,
    "inside brackets": inside_brackets,
    "capital letter": capital,
    "line end": line_end,
}


def states(model: Any, variables: Any, tokens: Tokens, text: str) -> np.ndarray:
    """All units of all carries [N, U] after each character of a text, which follows a border."""
    ids = encoded(tokens, (text,))

    def one(carries: Any, token: Any) -> tuple[Any, list]:
        carries, _ = model.apply(variables, token[None, None], carries)
        return carries, [x[0] for x in jax.tree.leaves(carries)]

    _, found = jax.jit(lambda ids: jax.lax.scan(one, model.start(1), ids))(ids)
    return np.concatenate([np.asarray(x, float) for x in found], axis=-1)[1:]


def follow(model: Any, variables: Any, tokens: Tokens, text: str) -> list[Unit]:
    """For each property of PROPERTIES that varies in both halves, the unit that follows it best."""
    activations, half = states(model, variables, tokens, text), len(text) // 2
    found = []
    for name, measure in PROPERTIES.items():
        values = measure(text)
        if not (values[:half].std() and values[half:].std()):
            continue
        index = int(np.abs(correlations(activations[:half], values[:half])).argmax())
        later = correlations(activations[half:, index : index + 1], values[half:])
        found.append(Unit(name, index, float(later[0]), activations[:, index]))
    return found


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each column of x [N, U] with y [N]; 0 for constant columns."""
    x, y = x - x.mean(0), y - y.mean()
    size = np.linalg.norm(x, axis=0) * np.linalg.norm(y)
    return np.where(size > 0, x.T @ y / np.maximum(size, np.finfo(float).tiny), 0)


def _since(text: str, starts: Callable[[str], bool]) -> np.ndarray:
    values, count = np.zeros(len(text)), 0
    for i, x in enumerate(text):
        count = 0 if starts(x) else count + 1
        values[i] = count
    return values


def _nested(text: str, opening: str, closing: str) -> np.ndarray:
    values, inside = np.zeros(len(text)), False
    for i, x in enumerate(text):
        if x in closing and inside:
            inside = False
        elif x in opening:
            inside = True
        elif text[i - 1 : i + 1] == "\n\n":
            inside = False
        values[i] = inside
    return values
