"""The roles of columns and rows: series, flags, labels, ids, sentinels, headers, the future."""

import numpy as np
import pytest

from dljax.data.sources import anomaly_labels
from dljax.data.sources.series import load_series
from dljax.data.sources.table import parse_table
from tests.data.odd_files import DAYS, WAVE, lines, panel, read, refused, said

LATER = DAYS + np.timedelta64(40, "D")
UNIX = DAYS.astype("datetime64[s]").astype(int)
FLAG = [int(i % 7 == 0) for i in range(40)]


# Columns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, cells, why",
    [
        ("unix", UNIX * 1000, "count"),
        ("unix", UNIX[::-1], "count"),
        ("row", range(7, 47), "count"),
        ("id", [i * 7 % 40 for i in range(40)], "an id"),
        ("unique_id", [3] * 40, "constant"),
        ("is_anomaly", [int(i > 35) for i in range(40)], "labels"),
        ("label", [1 if i < 35 else -1 for i in range(40)], "labels"),
        ("month", [int(str(day)[5:7]) for day in DAYS], "a part of the date"),
        ("dayofweek", [(i + 2) % 7 for i in range(40)], "a part of the date"),
        ("symbol", ["BTC/USD"] * 40, "text"),
    ],
)
def test_what_is_no_quantity_is_left_out(name, cells, why):
    series = read(lines({"date": DAYS, name: cells, "y": WAVE}))
    assert series.columns == ("y",) and series.covariates.shape[1] == 0
    assert said(series, "Left out", why, name)


def test_a_column_of_time_with_gaps_of_weekends_is_left_out():
    days = DAYS[np.is_busday(DAYS)]
    seconds = days.astype("datetime64[s]").astype(int)
    series = read(lines({"day": days, "unix": seconds, "y": WAVE[: len(days)]}))
    assert series.columns == ("y",) and said(series, "a second column of time", "unix")


def test_flags_are_covariates():
    series = read(lines({"date": DAYS, "y": WAVE, "promo": FLAG}))
    assert (series.columns, series.covariate_names) == (("y",), ("promo",))
    np.testing.assert_array_equal(series.covariates[:, 0], FLAG)
    assert said(series, "0 and 1 are inputs", "promo")
    words = ["True" if flag else "false" for flag in FLAG]
    again = read(lines({"date": DAYS, "y": WAVE, "promo": words}))
    np.testing.assert_array_equal(again.covariates, series.covariates)
    named = read(lines({"date": DAYS, "y": WAVE, "promo": FLAG}), targets=("promo",))
    assert named.columns == ("promo",) and not named.covariate_names
    refused(lines({"date": DAYS, "promo": FLAG}), "promo is 0 or 1", "--target")


def test_what_is_named_is_taken():
    text = lines({"date": DAYS, "unix": UNIX, "y": WAVE})
    assert read(text, targets=("unix", "y")).columns == ("unix", "y")
    refused(lines({"date": DAYS, "unix": UNIX}), "no column to forecast", "unix only counts")


# Sentinels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["-999", "-200", "9999", "-99.9", "-32768", "5000"])
def test_a_value_far_off_that_repeats_is_noticed(code):
    cells = [code if i % 12 == 5 else cell for i, cell in enumerate(WAVE)]
    text = lines({"date": DAYS, "y": cells})
    assert said(read(text), "Column y", code, "3 of 40 rows", f"--missing={code}")
    refused(text, "column y has no value", "3 of 40", absent=(code,))
    filled = read(text, absent=(code,), fill="forward")
    assert np.abs(filled.values).max() <= 1 and not said(filled, "--missing")


def test_two_sentinels_and_words():
    cells = ["-999" if i % 9 == 5 else "-200" if i % 9 == 7 else WAVE[i] for i in range(40)]
    assert said(read(lines({"date": DAYS, "y": cells})), "--missing=-999,-200")
    words = ["n.v." if i == 3 else WAVE[i] for i in range(40)]
    refused(lines({"date": DAYS, "y": words}), "'n.v.'", "no number")
    assert said(read(lines({"date": DAYS, "y": words}), absent=("n.v.",), fill="linear"), "y 1")


@pytest.mark.parametrize(
    "cells",
    [
        WAVE,
        [*WAVE[:39], "50"],  # one outlier is none
        [str(i % 3) for i in range(40)],
        ["0" if i % 3 else str(i) for i in range(40)],  # rain: zeros near the rest
        [str(9999 + i % 7) for i in range(40)],
    ],
)
def test_usual_values_are_no_sentinels(cells):
    assert not said(read(lines({"date": DAYS, "y": cells})), "--missing")


# The future ---------------------------------------------------------------------------------------


def test_rows_at_the_end_without_a_target_are_the_future():
    text = lines({"ds": DAYS, "y": [*WAVE[:33], *[""] * 7], "holiday": FLAG})
    for fill in ("refuse", "forward", "linear"):
        for settings in ({}, {"targets": ("y",), "covariates": ("holiday",)}):
            series = read(text, fill=fill, **settings)
            assert series.time[-1] == DAYS[32] and len(series.values) == 33
            assert said(series, "last 7 rows have no y", "the future", "2020-02-02", "holiday")


def test_the_end_of_a_target_is_never_filled():
    cells = {"date": DAYS, "a": WAVE, "b": [*WAVE[:38], "", ""]}
    series = read(lines(cells), fill="forward")
    assert len(series.time) == 38 and said(series, "last 2 rows have no b")
    refused(lines(cells), "column b has no value")
    cells["b"] = [*WAVE[:20], *[""] * 20]
    refused(lines(cells), "column b ends 20 rows before", "leave the column out", fill="forward")
    holes = {"date": DAYS, "y": [*WAVE[:20], "", *WAVE[21:]]}
    assert len(read(lines(holes), fill="forward").time) == 40


# Several series -----------------------------------------------------------------------------------


def stacked(times, names=("A", "B"), column="unique_id", **others):
    """Series one below the other."""
    count = sum(map(len, times))
    cells = {column: np.repeat(names, [len(t) for t in times]), "ds": np.concatenate(times)}
    return lines({**cells, **others, "y": (WAVE * 9)[:count]})


@pytest.mark.parametrize(
    "text",
    [
        stacked([DAYS, LATER]),  # one after the other
        stacked([DAYS, DAYS]),
        stacked([LATER, DAYS]),
        stacked([DAYS, DAYS + np.timedelta64(20, "D")]),
        stacked([DAYS, DAYS], (1, 2), "store_nbr"),
        stacked([DAYS, DAYS], ("Köln", "Bonn"), "Filiale"),
        stacked([DAYS, DAYS], (1, 2), "Filiale"),
        stacked([LATER, DAYS], ("x", "y"), "Filiale"),
        lines({"ds": np.repeat(DAYS, 2), "sku": ["a", "b"] * 40, "y": WAVE * 2}),
    ],
)
def test_long_format(text):
    first, second = panel(text)
    assert len(first.time) == len(second.time) == 40 and first.columns == ("y",)
    assert first.label != second.label and said(first, "names 2 series", "(40 rows)")


def test_series_of_two_columns_and_of_other_lengths():
    ids = {"store": np.repeat(["s", "t"], 80), "item": np.tile(np.repeat(["a", "b"], 40), 2)}
    found = panel(lines({**ids, "ds": np.tile(DAYS, 4), "y": WAVE * 4}))
    assert [series.label for series in found] == ["s/a", "s/b", "t/a", "t/b"]
    found = panel(stacked([DAYS, DAYS[:15]]))
    assert [len(series.time) for series in found] == [40, 15]
    refused(stacked([DAYS, DAYS[:5]]), "a.csv, B has 5 rows")
    with pytest.raises(ValueError, match=r"line 47: .* no value \(1 of 40"):
        text = stacked([DAYS, DAYS]).splitlines()
        text[46] = text[46].rpartition(",")[0] + ","
        panel("\n".join(text))


def test_each_series_is_forecast_after_its_own_end():
    y = [*WAVE[:30], *[""] * 10, *WAVE]
    text = lines({"id": np.repeat(["A", "B"], 40), "ds": np.tile(DAYS, 2), "y": y})
    first, second = panel(text)
    assert len(first.time) == 30 and len(second.time) == 40
    assert said(first, "last 10 rows") and not said(second, "last 10 rows")


def test_a_text_that_changes_once_is_asked_about():
    text = stacked([DAYS, LATER], column="Filiale")
    series = read(text)
    assert len(series.time) == 80 and said(series, "'A' to 'B' in line 42", "--series=Filiale")
    assert len(panel(text, series="Filiale")) == 2
    assert len(panel(stacked([DAYS, LATER]), series="none")) == 1
    refused(text, "no column 'shop'", series="shop")


def test_a_description_is_no_name_of_a_series():
    """Weather as text, with one stamp twice: an error, not two series."""
    weather = ["sun", "rain"] * 20
    days = [*DAYS[:39], DAYS[38]]
    refused(lines({"date": days, "weather": weather, "y": WAVE}), "is there twice", "--series")


def test_one_series_is_needed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(stacked([DAYS, DAYS]))
    with pytest.raises(ValueError, match=r"holds several series \(A, B"):
        load_series(str(path))


# What stands above the rows -----------------------------------------------------------------------

BODY = "\n".join(f"{day},{y},{y}" for day, y in zip(DAYS, WAVE, strict=True))


@pytest.mark.parametrize(
    "above, columns, words",
    [
        ("# a station\n# of a town\ndate,a,b\n", ("a", "b"), ("Comment lines", "2")),
        ("# date,a,b\n", ("a", "b"), ()),
        (
            "Prices of 2020\nfrom somewhere\n\ndate,a,b\n",
            ("a", "b"),
            ("above the header", "Prices"),
        ),
        ("date,a,b\nyyyy-mm-dd,°C,m/s\n", ("a °C", "b m/s"), ("2 lines of header",)),
        ("Price,Close,High\nTicker,AAPL,AAPL\nDate,,\n", ("Close AAPL", "High AAPL"), ("3 lines",)),
        (",Temp,\ndate,min,min\n", None, ("two columns",)),
        (",Temp,Wind\ndate,mean,mean\n", ("Temp mean", "Wind mean"), ("2 lines",)),
        ("sep=,\ndate,a,b\n", ("a", "b"), ()),
    ],
)
def test_headers(above, columns, words):
    if columns is None:
        refused(above + BODY, *words)
        return
    series = read(above + BODY)
    assert series.columns == columns and (series.time == DAYS).all()
    assert not words or said(series, *words)


def test_lines_are_counted_as_in_the_file():
    body = BODY.replace("\n2020-01-03,", "\n2020-01-03x,")
    refused("# one\n# two\ndate,a,b\n" + body, "a.csv, line 6", "'2020-01-03x'")
    refused("date,a,b\n" + BODY + "\n# end\nx\n", "line 43: 1 cells where the header has 3")
    refused("date,a\n" + BODY, "line 2: 3 cells where the header has 2", "decimal commas")


# Labels of anomalies ------------------------------------------------------------------------------


def labels(cells):
    return parse_table(lines({"time": DAYS, "label": cells}).encode(), "a.csv")


@pytest.mark.parametrize(
    "normal, odd, words",
    [
        ("0", "1", ()),
        ("1", "-1", ("-1 is anomalous",)),
        ("false", "True", ()),
        ("normal", "anomaly", ()),
        ("0", "2.5", ()),
    ],
)
def test_labels(normal, odd, words):
    found, notes = anomaly_labels.read(labels([normal] * 37 + [odd] * 3), "label")
    assert found.tolist() == [False] * 37 + [True] * 3
    assert all(word in " ".join(notes) for word in words)


@pytest.mark.parametrize(
    "cells, words",
    [
        (["1"] * 30 + ["0"] * 10, "calls 75% of the rows anomalous"),
        (["-1"] * 30 + ["1"] * 10, "calls 75% of the rows anomalous"),
        (["0"] * 30 + ["-1"] * 10, "are -1, 0: which are anomalous"),
        (["fine"] * 30 + ["broken"] * 10, "must be 0 and 1, true and false, or 1 and -1"),
    ],
)
def test_labels_that_are_refused(cells, words):
    with pytest.raises(ValueError, match=words):
        anomaly_labels.read(labels(cells), "label")


def test_labels_that_are_missing_or_many_are_told():
    found, notes = anomaly_labels.read(labels(["0"] * 36 + ["", "1", "2", "3"]), "label")
    assert found.sum() == 3 and "1 missing" in " ".join(notes) and "4 values" in " ".join(notes)
