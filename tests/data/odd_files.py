"""Tables as text, read without a file."""

import numpy as np
import pytest

from dljax.data.sources.series import from_table
from dljax.data.sources.table import parse_table

DAYS = np.arange("2020-01-01", "2020-02-10", dtype="datetime64[D]")
WAVE = [f"{np.sin(i):.4f}" for i in range(len(DAYS))]


def lines(columns, separator=","):
    """The text of a table: name -> cells."""
    rows = zip(*columns.values(), strict=True)
    return "\n".join([separator.join(columns), *(separator.join(map(str, row)) for row in rows)])


def panel(text, *, decimal="auto", absent=(), **settings):
    """All series in the text of a file a.csv."""
    table = parse_table(text.encode(), "a.csv")
    return from_table(table._replace(decimal=decimal, absent=tuple(absent)), **settings)


def read(text, **settings):
    """The one series in the text of a file a.csv."""
    (found,) = panel(text, **settings)
    return found


def refused(text, *words, **settings):
    """Checks that a text is refused in one line with these words."""
    with pytest.raises(ValueError) as caught:
        panel(text, **settings)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("a.csv"), message
    for word in words:
        assert word in message, message


def said(series, *words):
    """Whether one of the notes has all the words."""
    return any(all(word in note for word in words) for note in series.notes)
