"""Each row of the tables on time series in docs/data_formats.md: what is read, and its words."""

import re
from pathlib import Path

import numpy as np
import pytest

from dljax.data.sources import anomaly_labels
from dljax.data.sources.table import parse_table
from tests.data.odd_files import DAYS, WAVE, lines, panel
from tests.data.test_dates import HOURS, MONTHS, QUARTERS, form
from tests.data.test_zones import BERLIN, local, stamps

PAGE = Path(__file__).parents[2] / "docs" / "data_formats.md"
GERMAN = form(DAYS, "%d.%m.%Y")
AIRLINE = form(np.arange("1949-01", "1961-01", dtype="datetime64[M]"), "%b-%y")
GDP = [f"{1000 + i * i % 37}.12" for i in range(40)]
AUTUMN = np.arange("2021-10-01", "2021-12-01", dtype="datetime64[D]")
AUTUMN_HOURS = np.arange("2021-10-20", "2021-11-10", dtype="datetime64[h]")


def y(*cells, dates=DAYS, separator=",", **others):
    column = [cells[i % len(cells)] for i in range(len(dates))]
    return lines({"date": dates, **others, "y": column}, separator)


def dated(cells, **others):
    cells = list(cells)
    return lines({"date": cells, **others, "y": (WAVE * 40)[: len(cells)]})


def first(*values):
    return lambda s: np.testing.assert_allclose(s.values[: len(values), -1], values)


def times(expected):
    return lambda s: np.testing.assert_array_equal(s.time, expected.astype("datetime64[s]"))


def equal(name, value):
    def check(series):
        assert getattr(series, name) == value

    return check


def count(text, number):
    """Several series are checked by their number."""
    assert len(panel(text)) == number
    return text


# First cell of a row -> its examples: (text, check or None where it is refused).
EXAMPLES = {
    "`1.5`, `1234.5`, `1,234.5` (quoted)": [
        (y("1.5", "1234.5"), first(1.5, 1234.5)), (y('"1,234.5"', "1.5"), first(1234.5, 1.5))],
    "`2,13`, `0,134`, `1.234,5`": [
        (y('"2,13"', '"0,134"', '"1.234,5"'), first(2.13, 0.134, 1234.5))],
    "`1.556` beside `883`, decimal commas in another column": [
        (y("1.556", "883", separator=";", x=["1,5", "2,5"] * 20), first(1556, 883))],
    "`2,134` and `1,870`, dates like `31.12.2020`": [
        (y('"2,134"', '"1,870"', dates=GERMAN), first(2.134, 1.87))],
    "`2,134` and `1,870`, and nothing that decides": [(y('"2,134"', '"1,870"'), None)],
    "`1.556` beside `883`, and nothing that decides": [(y("1.556", "883"), None)],
    "`1 234.5`, `1'234.5`, thin spaces": [
        (y("1 234.5", "1'234.5", "1\u2009234.6"), first(1234.5, 1234.5, 1234.6))],
    "`$1,234.50`, `12,25 €`, `12%`, `(5.00)`": [
        (y('"$1,234.50"', "$5.5"), first(1234.5, 5.5)), (y('"12,25 €"', '"0,5 €"'), first(12.25)),
        (y("12%", "13%"), first(12)), (y("($5.00)", "$6"), first(-5))],
    "`12%` beside `0.12`": [(y("12%", "0.12"), None)],
    "`1.5` beside `2,5`": [(y("1.5", '"2,5"'), None)],
    "`-999` in some rows, far from the rest": [(y("1", "2", "3", "1.5", "-999"), first(1, 2))],
    "`2020-01-31`, `2020/1/31 5:00 PM`, `2020-01-31T12:00Z`": [
        (dated(DAYS), times(DAYS)), (dated(form(HOURS, "%Y/%m/%d %I:%M %p")), times(HOURS)),
        (dated(form(HOURS, "%Y-%m-%dT%H:%MZ")), times(HOURS))],
    "`31.12.2020`, `12/31/2020`": [
        (dated(GERMAN), times(DAYS)), (dated(form(DAYS, "%m/%d/%Y")), times(DAYS))],
    "`1/1/2020` to `12/12/2020`": [(dated(f"{i}/{i}/2020" for i in range(1, 13)), None)],
    "`31-Jan-2020`, `Jan 31, 2020`, `January 2020`, `2020M01`": [
        (dated(form(DAYS, "%d-%b-%Y")), times(DAYS)),
        (dated(form(DAYS, '"%b %d, %Y"')), times(DAYS)),
        (dated(form(MONTHS, "%B %Y")), times(MONTHS)),
        (dated(form(MONTHS, "%YM%m")), times(MONTHS))],
    "`Jan-49`": [(dated(AIRLINE), equal("freq", "MS"))],
    "`21-01-31`": [(dated(f"21-01-{i:02d}" for i in range(1, 32)), equal("freq", "D"))],
    "`Jan 31`, `31-Jan`": [(dated(form(DAYS, "%b %d")), None), (dated(form(DAYS, "%d-%b")), None)],
    "`1980Q1`, `Q1 1980`, `2020-W01`": [
        (dated(form(QUARTERS, "%YQ{q}")), times(QUARTERS)),
        (dated(form(QUARTERS, "Q{q} %Y")), times(QUARTERS)),
        (dated(f"2020-W{i:02d}" for i in range(1, 41)), equal("freq", "W"))],
    "`20200131`, `2020013112`, `202001`, `2020`, Unix time, Excel's days": [
        (dated(form(DAYS, "%Y%m%d")), times(DAYS))],
    "`Date` and `Time`, `date` and `hour`, `year`, `month`, `day`, `hour`": [
        (lines({"Date": form(HOURS, "%Y-%m-%d"), name: form(HOURS, text), "y": WAVE}), times(HOURS))
        for name, text in {"Time": "%H:%M", "hour": "%H"}.items()],
    "row numbers beside dates, values like `1005.12`": [
        (lines({"": range(20000, 20040), "date": DAYS, "y": WAVE}), times(DAYS)),
        (lines({"q": form(QUARTERS, "%YQ{q}"), "y": GDP}), times(QUARTERS))],
    "steps under a second": [(dated(f"2020-01-01 00:00:00.{i:03d}" for i in range(40)), None)],
    "2061-01-01 and later alone": [
        (dated(f"2061-01-{i:02d}" for i in range(1, 32)), equal("freq", "D"))],
    "the year 1": [(dated(f"0001-01-{i:02d}" for i in range(1, 32)), None)],
    "none, or one for all": [
        (dated(stamps(AUTUMN_HOURS[:40], BERLIN)), equal("zone", "+02:00")),
        (dated(DAYS), equal("zone", ""))],
    "offsets that change, steps of days or more at one local clock": [
        (dated(local(AUTUMN, BERLIN)), times(AUTUMN))],
    "offsets that change, shorter steps": [
        (dated(stamps(AUTUMN_HOURS, BERLIN)), times(AUTUMN_HOURS))],
    "some with an offset and some without, `CET`": [
        (dated(["2020-01-01 00:00", *stamps(AUTUMN_HOURS[1:], BERLIN)]), None),
        (dated(f"{x}:00 CET" for x in AUTUMN_HOURS), None)],
    "numbers": [(dated(DAYS), equal("columns", ("y",)))],
    "constants, counts of rows, Unix time beside dates, ids, parts of the date, text": [
        (y("1", "3", "2", **{name: cells}), equal("columns", ("y",))) for name, cells in {
            "c": [5] * 40, "n": range(40), "unix": DAYS.astype("M8[s]").astype(int),
            "item_id": [i * 7 % 40 for i in range(40)],
            "month": [int(str(day)[5:7]) for day in DAYS], "sky": ["sun", "rain"] * 20}.items()],
    "columns of 0 and 1": [
        (dated(DAYS, promo=[0, 0, 1, 0] * 10), equal("covariate_names", ("promo",)))],
    "`label`, `is_anomaly` and the like": [
        (dated(DAYS, is_anomaly=[0, 0, 1, 0] * 10), equal("columns", ("y",)))],
    "`unique_id`, `ds`, `y`: several series in rows": [
        (count(lines({"unique_id": ["A", "B"] * 40, "ds": np.repeat(DAYS, 2), "y": WAVE * 2}), 2),
         equal("label", "A"))],
    "a text that changes once, stamps in order": [
        (dated(DAYS, area=["A"] * 20 + ["B"] * 20), equal("columns", ("y",)))],
    "rows at the end without a target": [
        (lines({"date": DAYS, "y": [*WAVE[:35], *[""] * 5]}), times(DAYS[:35]))],
    "comments (`#`), titles, several lines of header": [
        ("# a\n" + dated(DAYS), times(DAYS)), ("a title\n" + dated(DAYS), times(DAYS)),
        (dated(DAYS).replace("date,y\n", "date,y\nday,m\n"), times(DAYS))],
}  # fmt: skip
LABELS = {
    "1 and -1": [(["1"] * 37 + ["-1"] * 3, 3)],
    "0 and -1": [(["0"] * 37 + ["-1"] * 3, None)],
    "more than half of the rows anomalous": [(["1"] * 30 + ["0"] * 10, None)],
}


def documented():
    """First cell -> second cell of the tables between '## Time series' and '## Weights'."""
    text = (
        PAGE.read_text(encoding="utf-8").partition("## Time series")[2].partition("## Weights")[0]
    )
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    heads = {i - 1 for i, row in enumerate(rows) if set(row[0]) == {"-"}}
    return {row[0]: row[1] for i, row in enumerate(rows) if i not in heads and i - 1 not in heads}


def test_each_row_has_examples_here():
    assert documented().keys() == EXAMPLES.keys() | LABELS.keys()


def quoted(cell):
    """The words in italics, as patterns; '...' stands for anything."""
    return [re.escape(words).replace(r"\.\.\.", ".*") for words in re.findall(r"\*([^*]+)\*", cell)]


@pytest.mark.parametrize("row", EXAMPLES)
def test_a_row(row):
    heard = ""
    for text, check in EXAMPLES[row]:
        if check is None:
            with pytest.raises(ValueError) as caught:
                panel(text)
            heard += f"\n{caught.value}"
        else:
            series = panel(text)[0]
            check(series)
            heard += "\n" + "\n".join(series.notes)
    for words in quoted(documented()[row]):
        assert re.search(words, heard), (words, heard)


@pytest.mark.parametrize("row", LABELS)
def test_a_row_of_labels(row):
    for cells, count in LABELS[row]:
        table = parse_table(lines({"time": DAYS, "label": cells}).encode(), "a.csv")
        if count is None:
            with pytest.raises(ValueError) as caught:
                anomaly_labels.read(table, "label")
            heard = str(caught.value)
        else:
            found, notes = anomaly_labels.read(table, "label")
            assert found.sum() == count
            heard = "\n".join(notes)
        for words in quoted(documented()[row]):
            assert re.search(words, heard), (words, heard)
