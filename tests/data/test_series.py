"""Series from packages and from CSV files as people have them; every refusal in one clear line."""

import gzip

import numpy as np
import pytest

from dljax.data.sources.series import Series, load_series, returns, volatility

DAYS = np.arange("2020-01-01", "2020-02-10", dtype="datetime64[D]")


def write(folder, text, name="a.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return str(path)


def daily(folder, values=None, stamps=None, header="date,y", separator=",", **kwargs):
    """A file of forty days, with some cells replaced: {row: text}."""
    rows = [str(np.round(np.sin(i), 3)) for i in range(len(DAYS))]
    days = [str(day) for day in DAYS]
    for row, cell in (values or {}).items():
        rows[row] = cell
    for row, cell in (stamps or {}).items():
        days[row] = cell
    pairs = [f"{d}{separator}{y}" for d, y in zip(days, rows, strict=True) if d is not None]
    return write(folder, "\n".join([header, *pairs]) + "\n", **kwargs)


def refused(path, words, kind=ValueError, **settings):
    with pytest.raises(kind) as caught:
        load_series(path, **settings)
    message = str(caught.value)
    assert "\n" not in message
    for word in words if isinstance(words, tuple) else (words,):
        assert word in message, message


# Embedded -----------------------------------------------------------------------------------------


def test_stocks_are_daily_prices_of_four_companies_on_business_days():
    series = load_series("stocks")
    assert series.columns == ("AAPL", "GOOG", "IBM", "MSFT")
    assert series.values.shape == (2148, 4) and series.covariates.shape == (2148, 0)
    assert (series.freq, series.season) == ("B", 5)
    assert str(series.time[0])[:10] == "2004-08-19" and str(series.time[-1])[:10] == "2013-03-01"
    assert np.abs(np.diff(np.log(series.values), axis=0)).max() < 0.25  # no jump of a split
    assert "79" in series.notes[0]


def test_weather_is_daily_and_hourly():
    series = load_series("weather")
    assert (series.columns, series.freq, series.season) == (("temp_max",), "D", 7)
    assert series.values.shape == (1461, 1) and series.values[0, 0] == 12.8
    both = load_series("weather", targets=("temp_max", "wind"), covariates=("precipitation",))
    assert both.values[1].tolist() == [10.6, 4.5] and both.covariates[1].tolist() == [10.9]
    hourly = load_series("weather_hourly")
    assert (hourly.values.shape, hourly.freq, hourly.season) == ((8760, 1), "h", 24)


# Forms of a file ----------------------------------------------------------------------------------


def test_a_plain_file(tmp_path):
    series = load_series(daily(tmp_path))
    assert isinstance(series, Series) and series.columns == ("y",) and series.notes == ()
    assert series.freq == "D" and (series.time == DAYS).all()
    np.testing.assert_allclose(series.values[:, 0], np.sin(np.arange(40)), atol=5e-4)


@pytest.mark.parametrize(
    "form",
    [
        {"encoding": "utf-8-sig"},
        {"encoding": "utf-16"},
        {"separator": "\t", "header": "date\ty"},
        {"separator": "|", "header": "date|y"},
        {"separator": " , ", "header": '"date" , y'},
    ],
    ids=lambda form: next(iter(form.values())).strip() or "tab",
)
def test_encodings_and_separators_make_no_difference(tmp_path, form):
    series = load_series(daily(tmp_path, **form))
    assert series.columns == ("y",) and (series.time == DAYS).all()
    np.testing.assert_allclose(series.values[:, 0], np.sin(np.arange(40)), atol=5e-4)


def test_semicolons_with_decimal_commas_are_read_and_told(tmp_path):
    rows = "\n".join(f"{d};{i};1.{i:03d},25" for i, d in enumerate(DAYS))
    series = load_series(write(tmp_path, "Tag;Zähler;Preis\n" + rows))
    assert series.columns == ("Preis",) and series.values[3, 0] == 1003.25
    assert any("semicolons" in note for note in series.notes)
    assert any("Zähler" in note for note in series.notes)  # it counts the rows


def test_quoted_thousands_and_gzip(tmp_path):
    rows = "\n".join(f'{d},"1,{i:03d}.5"' for i, d in enumerate(DAYS[::-1]))
    path = write(tmp_path, gzip.compress(f"date,y\n{rows}".encode()), "a.csv.gz")
    series = load_series(path)
    assert series.values[0, 0] == 1039.5 and "newest" in series.notes[0]


STAMPS = {
    "iso": (lambda d: f"{d}T00:00:00Z", ()),
    "slashes": (lambda d: f"{d}".replace("-", "/"), ()),
    "american": (lambda d: f"{d.month}/{d.day}/{d.year}", ()),
    "european": (lambda d: f"{d:%d.%m.%Y} 0:00", ()),
    "two digits": (lambda d: f"{d:%m/%d/%y} 12:00 AM", ()),
    "excel": (lambda d: f"{(d - DAYS[0].item()).days + 43831}", ("Excel",)),
    "unix": (lambda d: f"{(d - DAYS[0].item()).days * 86400 + 1577836800}", ("Unix",)),
    "digits": (lambda d: f"{d:%Y%m%d}", ("YYYYMMDD",)),
    "words": (lambda d: f"{d:%d %b %Y}", ()),
}


@pytest.mark.parametrize("form", STAMPS)
def test_dates_in_every_form(tmp_path, form):
    write_date, told = STAMPS[form]
    stamps = {i: write_date(day.item()) for i, day in enumerate(DAYS)}
    series = load_series(daily(tmp_path, stamps=stamps))
    assert (series.time == DAYS).all() and series.freq == "D"
    for word in told:
        assert any(word in note for note in series.notes)


def test_day_and_month_are_told_apart_by_order_or_refused(tmp_path):
    stamps = [f"{i % 12 + 1}/1/{2000 + i // 12}" for i in range(40)]  # months, not forty days
    text = "date,y\n" + "\n".join(f"{s},{i % 7}" for i, s in enumerate(stamps))
    series = load_series(write(tmp_path, text))
    assert (series.freq, series.season) == ("MS", 12) and "month/day" in series.notes[0]
    both = "date,y\n" + "\n".join(f"{i}/{i}/2020,{i % 5}" for i in range(1, 13))
    refused(write(tmp_path, both), ("may be month/day or day/month", "YYYY-MM-DD"))


def test_time_in_several_columns(tmp_path):
    rows = [f"{i + 1},2010,1,{i // 24 + 1},{i % 24},{i % 5}" for i in range(48)]
    series = load_series(write(tmp_path, "No,year,month,day,hour,y\n" + "\n".join(rows)))
    assert series.columns == ("y",) and series.freq == "h"
    assert str(series.time[25]) == "2010-01-02T01:00:00" and "No" in series.notes[0]


@pytest.mark.parametrize(
    "step, freq, season",
    [(900, "15min", 96), (7200, "2h", 12), (86400, "D", 7), (604800, "W", 52), (30, "30s", 2880)],
)
def test_the_step_is_found(tmp_path, step, freq, season):
    stamps = np.datetime64("2020-01-01", "s") + step * np.arange(40)
    series = load_series(daily(tmp_path, stamps=dict(enumerate(map(str, stamps)))))
    assert (series.freq, series.season) == (freq, season)


# Holes --------------------------------------------------------------------------------------------


def test_holes_are_refused_or_filled_by_the_rule(tmp_path):
    path = daily(tmp_path, {0: "NA", 3: "", 4: "?"}, {10: None})
    refused(path, ("a.csv, line 12", "step D: 1", "after 2020-01-10", "--fill"))
    refused(daily(tmp_path, {0: "NA", 3: ""}), ("line 2", "column y", "2 of 40"))
    path = daily(tmp_path, {0: "NA", 3: "", 4: "?"}, {10: None})
    y = np.round(np.sin(np.arange(40)), 3)[1:]
    for rule, filled in (
        ("forward", (y[1], y[1])),
        ("linear", (y[1] + (y[4] - y[1]) / 3, y[1] + (y[4] - y[1]) * 2 / 3)),
    ):
        series = load_series(path, fill=rule)
        assert (series.time == DAYS[1:]).all()  # what is before the first value is cut off
        np.testing.assert_allclose(series.values[2:4].ravel(), np.ravel(filled))
        assert series.values[9, 0] == pytest.approx(
            y[8] if rule == "forward" else (y[8] + y[10]) / 2
        )
        notes = " ".join(series.notes)
        assert "step D: 1" in notes and "y 3" in notes and rule in notes
        assert ("looks ahead" in notes) == (rule == "linear")


def test_forward_filling_sees_nothing_of_the_future(tmp_path):
    holes = {5: "", 6: "", 20: ""}
    whole = load_series(daily(tmp_path, holes), fill="forward").values
    changed = load_series(daily(tmp_path, {**holes, 7: "99", 21: "99"}), fill="forward").values
    np.testing.assert_array_equal(whole[:7], changed[:7])
    np.testing.assert_array_equal(whole[20], changed[20])


def test_uneven_stamps_are_refused_or_moved_to_the_grid(tmp_path):
    stamps = {i: f"2020-01-01 {i // 6:02d}:{i % 6 * 10:02d}:{i % 3 and 4:02d}" for i in range(40)}
    stamps[0] = "2020-01-01 00:00:00"
    path = daily(tmp_path, stamps=stamps)
    refused(path, ("off the grid", "10min"), freq="10min")
    series = load_series(path, freq="10min", fill="forward")
    assert len(series.time) == 40 and series.values[1, 0] == 0.0  # 00:10:04 comes after 00:10:00
    assert any("moved" in note for note in series.notes)


def test_repeated_rows_are_dropped_only_if_they_are_the_same(tmp_path):
    rows = [f"{d},{i % 7}" for i, d in enumerate(DAYS)]
    twice = "\n".join(["date,y", *rows[:5], *rows[4:]])
    series = load_series(write(tmp_path, twice))
    assert len(series.time) == 40 and "left out: 1" in series.notes[0]
    differ = "\n".join(["date,y", *rows[:5], "2020-01-05,99", *rows[5:]])
    refused(write(tmp_path, differ), ("line 7", "2020-01-05", "twice"))


def test_holidays_are_no_holes_but_a_closed_month_is(tmp_path):
    days = np.arange("2019-01-01", "2019-07-01", dtype="datetime64[D]")
    days = days[np.is_busday(days)]
    text = [f"{d},{i % 7}" for i, d in enumerate(days)]
    series = load_series(write(tmp_path, "\n".join(["date,y", *text[:30], *text[31:]])))
    assert series.freq == "B" and len(series.time) == len(days) - 1
    assert "(holidays): 1" in series.notes[0]
    closed = "\n".join(["date,y", *text[:30], *text[60:]])
    refused(write(tmp_path, closed), ("30 in a row", "too many for holidays"))


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, words",
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("date,y\n", "no rows"),
        (bytes(range(256)) * 8, "no text"),
        (b"PK\x03\x04" + bytes(100), ("workbook", "CSV")),
        ("2020-01-01,1\n2020-01-02,2\n", "no header"),
        ("date,y\n2020-01-01,1,5\n", ("line 2", "3 cells", "2")),
        ("date,y,y\n2020-01-01,1,5\n", "two columns"),
        ("date,,y\n2020-01-01,1,5\n", "no name"),
        ("a,y\n" + "x,1\n" * 12, ("no column of dates", "--time")),
        ("date,y\n2020-01-01,1\n2020-01-02,2\n", ("2 rows", "10")),
        ("date,y\n" + "\n".join(f"{d},sun" for d in DAYS), "none is numeric"),
        ("date,y\n" + "\n".join(f"{d},5" for d in DAYS), "constant"),
    ],
    ids=lambda x: "",
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, content, words):
    refused(write(tmp_path, content), words)


@pytest.mark.parametrize(
    "values, stamps, settings, words",
    [
        ({}, {}, {"targets": ("Y",)}, ("no column 'Y'", "y")),
        ({}, {}, {"targets": ("temprature",)}, ("no column", "it has date, y")),
        ({}, {}, {"time": "Date"}, ("no column 'Date'", "did you mean date?")),
        ({}, {}, {"time": "y"}, ("line 2", "'0.0'", "no date")),
        ({}, {}, {"freq": "fortnight"}, ("fortnight", "no step")),
        ({}, {}, {"freq": "h"}, ("missing stamps of step h: 897",)),
        ({}, {}, {"fill": "zero"}, ("zero", "forward")),
        ({4: "inf"}, {}, {}, ("line 6", "column y", "infinite")),
        ({4: "-inf"}, {}, {"fill": "forward"}, ("line 6", "infinite")),
        ({4: "3 kg"}, {}, {}, ("line 6", "'3 kg'", "no number")),
        ({4: "nan"}, {}, {}, ("line 6", "no value")),
        ({}, {4: "2020-02-31"}, {}, ("line 6", "'2020-02-31'", "no date")),
        ({}, {4: "soon"}, {}, ("line 6", "'soon'", "no date")),
        ({}, {4: ""}, {}, ("line 6", "no date")),
        ({}, {4: "2020-01-03", 5: "2020-01-09"}, {}, ("line 6", "sort")),
        (dict.fromkeys(range(40), "1"), {}, {"targets": ("y",)}, ("column y is constant",)),
        ({}, {}, {"targets": ("y",), "covariates": ("y",)}, ("both",)),
        ({}, {}, {"targets": ("y",), "known": ("y",)}, ("both",)),
        ({}, {}, {"covariates": ("y",), "known": ("y",)}, ("--covariates or with --known",)),
    ],
    ids=lambda x: "",
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(tmp_path, values, stamps, settings, words):
    refused(daily(tmp_path, values, stamps), words, **settings)


def test_a_data_set_that_is_not_there():
    refused("no/such.csv", "no/such.csv", FileNotFoundError)
    refused("stock", ("'stock'", "'stocks'", "CSV"))


# Other views of prices ----------------------------------------------------------------------------


def prices(values):
    values = np.asarray(values, np.float64)[:, None]
    time = np.datetime64("2020-01-01", "s") + 86400 * np.arange(len(values))
    return Series("p", time, values, ("p",), values[:, :0], (), "D", 7)


def test_returns_and_volatility_by_hand():
    series = prices(100 * np.exp([0, 0.01, -0.01, 0.02, 0.02]))
    change = returns(series)
    np.testing.assert_allclose(change.values[:, 0], [1, -2, 3, 0], atol=1e-12)
    assert change.columns == ("return of p",) and change.time[0] == series.time[1]
    moved = volatility(series, 2)
    expected = 0.5 * np.log([(1 + 4) / 2, (4 + 9) / 2, 9 / 2])
    np.testing.assert_allclose(moved.values[:, 0], expected)
    assert moved.time[0] == series.time[2] and moved.covariates.shape == (3, 0)


def test_returns_and_volatility_do_not_look_ahead():
    series = prices(np.exp(np.random.default_rng(0).normal(size=30).cumsum()))
    changed = series._replace(values=np.where(np.arange(30)[:, None] < 20, series.values, 7.0))
    for view in (returns, lambda s: volatility(s, 5)):
        a, b = (
            view(series),
            view(changed) if view is returns else view(prices(series.values[:20, 0])),
        )
        past = a.time < series.time[20]
        np.testing.assert_array_equal(a.values[past], b.values[: past.sum()])


def test_prices_that_are_not_positive_have_no_returns():
    with pytest.raises(ValueError, match="column p is not always positive"):
        returns(prices([1, 2, -1, 3]))
    with pytest.raises(ValueError, match="zero"):
        volatility(prices([1, 2, 2, 2, 3]), 2)
