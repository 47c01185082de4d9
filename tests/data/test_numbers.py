"""Numbers in other notations: decided by the column, the file, or not at all."""

import numpy as np
import pytest

from dljax.data.sources.number_cells import parse_cell
from tests.data.odd_files import DAYS, WAVE, lines, read, refused, said

EURO = [f"{day.item():%d.%m.%Y}" for day in DAYS]


def column(cells, *, dates=None, separator=",", **others):
    """A table whose column y has these cells in turn."""
    cells = [cells[i % len(cells)] for i in range(len(DAYS))]
    dates = DAYS if dates is None else dates
    return lines({"date": dates, **others, "y": cells}, separator)


READ = {  # cells -> values, in a file of commas with ISO dates
    "a point": (("1.5", "2.25"), (1.5, 2.25)),
    "three decimals everywhere": (("49.198", "51.264"), (49.198, 51.264)),
    "three decimals beside a larger whole number": (("1.556", "1200"), (1.556, 1200)),
    "quoted thousands": (('"1,234.5"', '"12.5"'), (1234.5, 12.5)),
    "quoted thousands beside small numbers": (('"1,556"', "883"), (1556, 883)),
    "millions": (('"1,234,567"', '"2,134"'), (1234567, 2134)),
    "lakhs": (('"12,34,567"', '"1,234"'), (1234567, 1234)),
    "a decimal comma below one": (('"0,134"', '"2,134"'), (0.134, 2.134)),
    "two decimals after a comma": (('"2,13"', '"1,870"'), (2.13, 1.87)),
    "groups by dots": (('"1.234.567"', '"1.556"'), (1234567, 1556)),
    "both signs": (('"1.234,5"', '"883"'), (1234.5, 883)),
    "apostrophes": (("1'234.5", "12’345.25"), (1234.5, 12345.25)),
    "spaces": (("1 234.5", "12\u00a0345.25"), (1234.5, 12345.25)),
    "thin spaces": (('"1\u202f234,5"', '"12\u2009345,25"'), (1234.5, 12345.25)),
    "dollars": (('"$1,234.50"', "$12.25"), (1234.5, 12.25)),
    "euros": (('"1.234,50 €"', '"-12,25 €"'), (1234.5, -12.25)),
    "a currency's code": (('"EUR 1,234.50"', "EUR 12.00"), (1234.5, 12)),
    "per cent": (("12.5%", "-3 %"), (12.5, -3)),
    "a minus sign of typesetters": (("−1.5", "2.5"), (-1.5, 2.5)),
    "parentheses of accountants": (('"(1,234.50)"', "12.00"), (-1234.5, 12)),
    "exponents": (("1.5e3", "-2E-1"), (1500, -0.2)),
}


@pytest.mark.parametrize("name", READ)
def test_read(name):
    cells, values = READ[name]
    series = read(column(cells))
    np.testing.assert_allclose(series.values[:2, 0], values)


def test_three_decimals_follow_other_columns_of_the_file():
    """A column of 1.556 and 883 is 1556 beside decimal commas, and 1.556 beside decimal points."""
    series = read(
        column(["883", "1.556"], dates=EURO, separator=";", x=[f"{i},5" for i in range(40)])
    )
    assert series.values[:2, 1].tolist() == [883, 1556] and said(
        series, "1.556 is read as 1556", "x"
    )
    series = read(column(["883", "1.556"], x=WAVE))
    assert series.values[:2, 1].tolist() == [883, 1.556] and said(series, "read as 1.556", "x")
    series = read(column(['"2,134"', '"1,870"'], x=WAVE))
    assert series.values[:2, 1].tolist() == [2134, 1870] and said(series, "2,134 is read as 2134")


def test_three_decimals_follow_the_dates_and_the_separator():
    series = read(column(['"2,134"', '"1,870"'], dates=EURO))
    assert series.values[:2, 0].tolist() == [2.134, 1.87]
    assert said(series, "2,134 is read as 2.134", "01.01.2020")
    series = read(column(["2,134", "1,870"], separator=";"))
    assert series.values[:2, 0].tolist() == [2.134, 1.87] and said(series, "semicolons")
    series = read(column(["2.134", "1.870"], separator=";"))
    assert series.values[:2, 0].tolist() == [2.134, 1.87] and said(series, "three decimals")


@pytest.mark.parametrize(
    "cells, form",
    [
        (['"2,134"', '"1,870"'], {}),  # ISO dates, commas: nothing decides
        (["1.556", "883"], {}),
        (["1.556", "883"], {"dates": EURO, "separator": ";"}),
        (["2.134", "1.870"], {"dates": EURO, "separator": ";"}),
        (["2,134", "883"], {"separator": "\t"}),
        (['"2,134"', "1200"], {}),
    ],
)
def test_what_nothing_decides_is_asked_for(cells, form):
    text = column(cells, **form)
    plain = cells[0].strip('"')
    refused(text, "column y", repr(plain), "--decimal=point or --decimal=comma")
    for decimal, sign in (("point", ","), ("comma", ".")):
        found = read(text, decimal=decimal).values[0, 0]
        other = plain.replace(sign, "")
        assert found == float(other.replace(",", "."))


@pytest.mark.parametrize(
    "cells, words",
    [
        (["1.5", '"2,5"'], ("'1.5' and '2,5'", "two notations")),
        (["12%", "0.12"], ("%", "one unit")),
        (["$5", "€5.5"], ("€", "$")),
        (["5", "6", "7", "8", "9", "1", "2", "3", "4", "5.5", "3 kg"], ("'3 kg'", "no number")),
        ([*["5", "6"] * 8, "1.2.3"], ("'1.2.3'", "no number")),
    ],
)
def test_mixed_notations_are_refused(cells, words):
    refused(column(cells), "column y", *words)


def test_a_decimal_sign_that_is_named_must_fit():
    refused(column(["1.5", "2.5"]), "'1.5'", "no number with a decimal comma", decimal="comma")


def test_none_is_numeric_names_a_cell_of_each_column():
    text = column(["2.13x", "high"], weather=["sun"] * 40)
    refused(text, "none is numeric", "y has '2.13x' in line 2", "weather has 'sun' in line 2")


def test_text_columns_are_named():
    assert said(read(column(WAVE, weather=["sun", "rain"] * 20)), "as text", "weather ('sun'")


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.2.3", "1,23,4", "1 23", "12'34", "--1", "$5€", "5 apples", "(5", "1e", "+-1"],
)
def test_no_numbers(text):
    assert parse_cell(text) is None
