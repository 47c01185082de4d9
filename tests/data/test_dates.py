"""Dates as people write them: read, or refused with what to write instead."""

import numpy as np
import pytest

from dljax.data.sources import date_fields
from dljax.data.sources.dates import form_of, week_time
from tests.data.odd_files import DAYS, WAVE, lines, read, refused, said

MONTHS = np.arange("2015-01", "2018-05", dtype="datetime64[M]")
QUARTERS = np.arange("1980-01", "1990-01", 3, dtype="datetime64[M]")
HOURS = np.arange("2021-01-01T00", "2021-01-02T16", dtype="datetime64[h]")
TODAY = np.datetime64("2026-06-01T00:00:00")


@pytest.fixture(autouse=True)
def a_fixed_day(monkeypatch):
    """The meaning of two-digit years depends on the present."""
    monkeypatch.setattr(date_fields, "today", lambda: TODAY)


def table(cells, name="date", **others):
    cells = list(cells)
    return lines({name: cells, **others, "y": (WAVE * 30)[: len(cells)]})


def form(times, text):
    """Each time in a form of strftime, with {q} for the quarter."""
    times = [time.astype("datetime64[s]").item() for time in times]
    return [time.strftime(text).replace("{q}", str((time.month + 2) // 3)) for time in times]


FORMS = {  # cells -> times, step, words of a note
    "1980Q1": (form(QUARTERS, "%YQ{q}"), QUARTERS, "QS"),
    "1980-Q1": (form(QUARTERS, "%Y-Q{q}"), QUARTERS, "QS"),
    "Q1 1980": (form(QUARTERS, "Q{q} %Y"), QUARTERS, "QS"),
    "1Q80": (form(QUARTERS, "{q}Q%y"), QUARTERS, "QS"),
    "Jan-2015": (form(MONTHS, "%b-%Y"), MONTHS, "MS"),
    "January 2015": (form(MONTHS, "%B %Y"), MONTHS, "MS"),
    "2015 Jan": (form(MONTHS, "%Y %b"), MONTHS, "MS"),
    "2015M01": (form(MONTHS, "%YM%m"), MONTHS, "MS"),
    "01/2015": (form(MONTHS, "%m/%Y"), MONTHS, "MS"),
    "2015.01": (form(MONTHS, "%Y.%m"), MONTHS, "MS"),
    "201501": (form(MONTHS, "%Y%m"), MONTHS, "MS"),
    "01-Jan-2020": (form(DAYS, "%d-%b-%Y"), DAYS, "D"),
    "01Jan2020": (form(DAYS, "%d%b%Y"), DAYS, "D"),
    "Jan 1, 2020": (form(DAYS, '"%b %d, %Y"'), DAYS, "D"),
    "Wed, 1 January 2020": (form(DAYS, '"%a, %d %B %Y"'), DAYS, "D"),
    "2020-Jan-01": (form(DAYS, "%Y-%b-%d"), DAYS, "D"),
    "20200101": (form(DAYS, "%Y%m%d"), DAYS, "D"),
    "2021010100": (form(HOURS, "%Y%m%d%H"), HOURS, "h"),
    "2021010100 of days": (form(DAYS[:30], "%Y%m%d%H"), DAYS[:30], "D"),
    "202101010000": (form(HOURS, "%Y%m%d%H%M"), HOURS, "h"),
    "20210101000000": (form(HOURS, "%Y%m%d%H%M%S"), HOURS, "h"),
    "20210101T0000": (form(HOURS, "%Y%m%dT%H%M"), HOURS, "h"),
    "20210101 00:00:00": (form(HOURS, "%Y%m%d %H:%M:%S"), HOURS, "h"),
    "2021-01-01 00": (form(HOURS, "%Y-%m-%d %H"), HOURS, "h"),
    "1/1/2021 12:00 AM": (form(HOURS, "%m/%d/%Y %I:%M %p"), HOURS, "h"),
    "Unix seconds": (HOURS.astype("M8[s]").astype(int), HOURS, "h"),
    "Unix milliseconds": (HOURS.astype("M8[ms]").astype(int), HOURS, "h"),
    "Unix microseconds": (HOURS.astype("M8[us]").astype(int), HOURS, "h"),
    "Unix nanoseconds": (HOURS.astype("M8[ns]").astype(int), HOURS, "h"),
    "Excel's hours": (
        [f"{44197 + i / 24:.6f}" for i in range(len(HOURS))], HOURS, "h"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_form(name):
    cells, times, step = FORMS[name]
    series = read(table(cells))
    assert (series.time == times).all() and series.freq == step


def test_years_as_floats():
    series = read(table([f"{year}.0" for year in range(1700, 1760)], "YEAR"))
    assert series.freq == "YS" and str(series.time[0])[:4] == "1700"


def test_iso_weeks():
    mondays = np.arange("2019-12-02", "2020-12-28", 7, dtype="datetime64[D]")
    calendar = [day.item().isocalendar() for day in mondays]
    series = read(table([f"{c.year}-W{c.week:02d}" for c in calendar], "week"))
    assert (series.time == mondays).all() and series.freq == "W"
    refused(table([f"2019-W{i:02d}" for i in range(20, 54)]), "'2019-W53'", "no date")
    assert np.isnat(week_time(np.array([2021]), np.array([53])))[0]
    assert str(week_time(np.array([2020]), np.array([53]))[0])[:10] == "2020-12-28"


def test_the_midnight_at_the_end_of_a_day():
    cells = [f"2021-01-{1 + i // 24:02d} {i % 24 + 1:02d}:00" for i in range(48)]
    series = read(table(cells))
    assert series.freq == "h" and str(series.time[23]) == "2021-01-02T00:00:00"
    refused(table([*cells[:-1], "2021-01-02 24:30"]), "24:30", "no date")


# Two-digit years ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, first, last, step",
    [
        ("%b-%y", "1949-01", "1960-12", "MS"),
        ("%b %y", "1995-01", "2006-12", "MS"),
        ("%y-%b", "1949-01", "1960-12", "MS"),
        ("%m/%d/%y", "1968-11-01", "1969-02-01", "D"),
        ("%d-%b-%y", "1949-12-01", "1950-02-01", "D"),
        ("%d.%m.%y", "2021-01-01", "2021-03-01", "D"),
        ("%y-%m-%d", "2021-01-01", "2021-01-31", "D"),
        ("%y-%m-%d", "1999-12-01", "2000-02-05", "D"),
        ("%y%m%d", "2021-01-01", "2021-03-01", "D"),
        ("%b-%y", "2025-09", "2027-02", "MS"),  # a plan, which reaches into the future
        ("%b-%y", "1920-01", "1960-12", "MS"),  # in order in the 20th century alone
    ],
)
def test_two_digit_years(text, first, last, step):
    times = np.arange(first, last, dtype=f"datetime64[{'M' if step == 'MS' else 'D'}]")
    series = read(table(form(times, text)))
    assert (series.time == times).all() and series.freq == step
    if text != "%y%m%d":
        assert said(series, "years of two digits", str(times[0])[:4])
    assert any(note.startswith("Column date") for note in series.notes)


def test_months_of_one_year():
    """As Excel writes January to December 2005."""
    months = np.arange("2005-01", "2006-01", dtype="datetime64[M]")
    series = read(table(form(months, "%b-%y")))
    assert (series.time == months).all() and said(series, "month and year")


@pytest.mark.parametrize(
    "cells",
    [
        form(DAYS, "%b %d"),
        form(DAYS[:31], "%b %d"),  # a month of days: no January of 31 years
        form(DAYS, "%d-%b"),
        form(np.arange("2005-01", "2006-01", dtype="datetime64[M]"), "01 %b"),
    ],
)
def test_dates_without_a_year_are_refused(cells):
    refused(table(cells), "column date", "no year", "YYYY-MM-DD")


def test_clocks_without_a_date_are_refused():
    cells = [f"{i // 60:02d}:{i % 60:02d}" for i in range(40)]
    refused(table(cells, "time"), "no column of dates", "time ('00:00')")
    refused(table(cells, "time"), "without a date", "--time=DATE,CLOCK", time="time")


def test_what_two_readings_fit_is_refused():
    days = [f"{i:02d}-{i:02d}-{i:02d}" for i in range(1, 13)]
    refused(table(days), "may be", "YYYY-MM-DD")
    months = [f"1980.{i:02d}".rstrip("0") for i in range(1, 13)]
    refused(table(months), "1980.1 for 1980.10", "YYYY-MM")


def test_years_out_of_reach():
    refused(table([f"0001-01-{i:02d}" for i in range(1, 32)]), "'0001-01-01'", "no date")
    future = np.arange("2061-01", "2064-01", dtype="datetime64[M]")
    assert said(read(table(form(future, "%Y-%m"))), "lie in the future", "2061-01-01")


# Which column is the time -------------------------------------------------------------------------


def test_values_are_no_dates():
    """1005.12 looks like a month of the year 1005, and 1980.1 like one of 1980."""
    values = [f"{1980 + i / 10:.2f}" for i in range(40)]
    series = read(lines({"quarter": FORMS["1980Q1"][0], "gdp": values}))
    assert series.columns == ("gdp",) and series.freq == "QS"
    assert form_of("1980.12", named=False) is None and form_of("1980.12") == "year first"
    refused(
        lines({"when": [f"day {i}" for i in range(40)], "gdp": values}),
        "no column of dates among when ('day 0'), gdp ('1980.00')", "--time",
    )  # fmt: skip


def test_row_numbers_are_no_dates_beside_dates():
    hours = form(HOURS, "%Y-%m-%d %H:%M:%S")
    for name in ("", "index", "period"):
        numbers = range(20000, 20000 + len(hours))
        text = lines({name: numbers, "date": hours, "y": WAVE})
        series = read(text)
        assert series.columns == ("y",) and (series.time == HOURS).all()
    refused(lines({"": range(20000, 20040), "y": WAVE}), "no column of dates")


def test_a_date_and_a_clock_are_joined():
    hours = HOURS + np.timedelta64(11, "D")  # the 12th and 13th
    cells = {"Date": form(hours, "%d/%m/%Y"), "Time": form(hours, "%H:%M:%S")}
    for text in (
        lines({**cells, "y": WAVE}, ";"),
        lines({"Date": cells["Date"], "y": WAVE, "Time": form(hours, "%H.%M.%S")}),
        lines({"dteday": form(hours, "%Y-%m-%d"), "hr": form(hours, "%H"), "y": WAVE}),
        lines({"date": form(hours, "%Y%m%d"), "hour": form(hours, "%H"), "y": WAVE}),
        lines({"day": form(hours, "%Y-%m-%d"), "Time": form(hours, "%I:%M %p"), "y": WAVE}),
    ):
        series = read(text)
        assert (series.time == hours).all() and series.columns == ("y",) and said(series, "joined")
    named = read(lines({**cells, "y": WAVE}), time="Date,Time")
    assert (named.time == hours).all()
    wrong = [*form(hours, "%H:%M:%S")[:-1], "25:00:00"]
    refused(
        lines({"Date": cells["Date"], "Time": wrong, "y": WAVE}), "'25:00:00'", "no time of day"
    )


def test_hours_from_1_to_24():
    hours = [i % 24 + 1 for i in range(48)]
    days = [f"2021-01-{1 + i // 24:02d}" for i in range(48)]
    series = read(lines({"date": days, "hour": hours, "y": (WAVE * 2)[:48]}))
    assert str(series.time[0]) == "2021-01-01T01:00:00" and series.freq == "h"


def test_parts_of_dates():
    months = {"year": form(MONTHS, "%Y"), "month": form(MONTHS, "%b")}
    series = read(lines({**months, "passengers": WAVE}))
    assert (series.time == MONTHS).all() and series.columns == ("passengers",)
    quarters = {"year": form(QUARTERS, "%Y"), "quarter": form(QUARTERS, "{q}")}
    assert (read(lines({**quarters, "y": WAVE})).time == QUARTERS).all()
    weeks = {"year": [2020] * 40, "week": range(1, 41)}
    assert str(read(lines({**weeks, "y": WAVE})).time[0])[:10] == "2019-12-30"
    refused(
        lines({**months, "y": WAVE, "passengers": WAVE}),
        "several columns make a time",
        time="y,passengers,month",
    )


def test_steps_under_a_second():
    fine = [f"2021-01-01 00:00:00.{i:03d}" for i in range(0, 1000, 25)]
    refused(table(fine), "finer than a second", "count them in seconds")
    refused(table(range(1609459200000, 1609459200000 + 40 * 250, 250)), "finer than a second")
    slow = [f"2021-01-01 00:00:{i:02d}.500" for i in range(40)]
    series = read(table(slow))
    assert series.freq == "s" and said(series, "cut off")
    assert not read(table([cell[:-3] + "000" for cell in slow])).notes
