"""Zones: calendars keep their local dates, hours have one zone, in training and prediction."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from dljax.data.sources import zones
from tests.data.odd_files import lines, read, refused, said

BERLIN, NEW_YORK, KOLKATA = map(ZoneInfo, ("Europe/Berlin", "America/New_York", "Asia/Kolkata"))


def stamps(times, zone, text="%Y-%m-%d %H:%M:%S%z"):
    """UTC times as text of the local clock with its offset."""
    utc = ZoneInfo("UTC")
    moments = [time.astype("datetime64[s]").item().replace(tzinfo=utc) for time in times]
    return [moment.astimezone(zone).strftime(text) for moment in moments]


def local(times, zone):
    """Local midnights (or clocks) as text with their offset."""
    return [
        time.astype("datetime64[s]").item().replace(tzinfo=zone).isoformat(" ") for time in times
    ]


def table(cells):
    return lines({"time": cells, "y": [f"{np.sin(i):.4f}" for i in range(len(cells))]})


DAYS = np.arange("2021-09-01", "2022-05-01", dtype="datetime64[D]")
HOURS = np.arange("2021-10-01", "2021-12-01", dtype="datetime64[h]")


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_a_calendar_keeps_its_local_dates(zone):
    series = read(table(local(DAYS, zone)))
    assert (series.time == DAYS).all() and (series.freq, series.zone) == ("D", "local")
    assert said(series, "Offsets change", "local calendar")
    business = DAYS[np.is_busday(DAYS)]
    series = read(table(local(business, zone)))
    assert (series.time == business).all() and series.freq == "B"
    months = np.arange("2018-01", "2021-06", dtype="datetime64[M]")
    series = read(table(local(months, zone)))
    assert (series.time == months).all() and (series.freq, series.zone) == ("MS", "local")
    weeks = DAYS[::7]
    assert read(table(local(weeks, zone))).freq == "W"


def test_a_calendar_of_some_other_hour():
    """Readings at 17:30 of the local clock, all year."""
    times = DAYS + np.timedelta64(17 * 60 + 30, "m")
    series = read(table(local(times, NEW_YORK)))
    assert (series.time == times).all() and series.freq == "D"


def test_days_of_utc_stay_days_of_utc():
    """Their local clock changes with summer time."""
    series = read(table(stamps(DAYS, BERLIN)))
    assert (series.time == DAYS).all() and (series.freq, series.zone) == ("D", "UTC")


def test_hours_with_changing_offsets_are_in_utc():
    series = read(table(stamps(HOURS, BERLIN)))
    assert (series.time == HOURS).all() and (series.freq, series.zone) == ("h", "UTC")
    assert said(series, "+01:00, +02:00", "turned to UTC")


def test_one_offset_is_kept_and_named():
    for zone, name, ahead in ((KOLKATA, "+05:30", 330), (ZoneInfo("UTC"), "UTC", 0)):
        series = read(table(stamps(HOURS, zone)))
        clock = HOURS + np.timedelta64(ahead, "m")
        assert series.zone == name and (series.time == clock).all()
    assert read(table([f"{time}:00Z" for time in HOURS])).zone == "UTC"
    assert read(table([str(time) for time in HOURS])).zone == ""


def test_a_series_for_a_run_has_the_zone_of_the_run():
    """The last rows of a file in UTC, all of one offset, are turned to UTC too."""
    recent = stamps(HOURS[-48:], BERLIN)
    assert read(table(recent)).zone == "+01:00"
    series = read(table(recent), zone="UTC")
    assert (series.time == HOURS[-48:]).all() and series.zone == "UTC"
    assert said(series, "+01:00 are turned to UTC")
    summer, winter = (stamps(x, BERLIN) for x in (HOURS[:48], HOURS[-48:]))
    trained = read(table(summer))
    series = read(table(winter), zone=trained.zone)
    assert series.zone == "+02:00" and (series.time == HOURS[-48:] + np.timedelta64(2, "h")).all()
    both = read(table(stamps(HOURS, BERLIN)), zone="+02:00")
    assert (both.time == HOURS + np.timedelta64(2, "h")).all()


def test_a_calendar_for_a_run_stays_a_calendar():
    summer = local(DAYS[:40], BERLIN)
    assert read(table(summer)).zone == "+02:00"
    series = read(table(local(DAYS, BERLIN)), zone="+02:00")
    assert (series.time == DAYS).all()
    assert (read(table(summer), zone="local").time == DAYS[:40]).all()
    winter = read(table(local(DAYS[80:120], BERLIN)), zone="+02:00")
    assert (winter.time == DAYS[80:120]).all() and said(winter, "dates are kept")
    assert (read(table([str(day) for day in DAYS]), zone="local").time == DAYS).all()


def test_zones_that_do_not_fit_are_refused():
    plain, zoned = [str(time).replace("T", " ") + ":00" for time in HOURS], stamps(HOURS, BERLIN)
    refused(table(plain), "no zone is named", "in UTC", "add +HH:MM", zone="UTC")
    refused(table([*plain[:9], *zoned[9:]]), "some stamps name a zone and others do not")
    refused(table([f"{cell} CET" for cell in plain]), "zone CET is a name", "+HH:MM")
    refused(table(zoned), "offsets change", "name no zone", zone=zones.NONE)
    kept = read(table(stamps(HOURS[-48:], BERLIN)), zone=zones.NONE)
    assert kept.zone == "" and said(kept, "the clock is kept")


@pytest.mark.parametrize("fill", ["refuse", "forward"])
def test_local_midnights_in_utc_are_refused(fill):
    """22:00 in summer and 23:00 in winter: filling would move the winter by a day."""
    months = np.arange("2018-01", "2021-06", dtype="datetime64[M]")
    for times in (DAYS, DAYS[np.is_busday(DAYS)], months):
        cells = [
            time.astype("datetime64[s]").item().replace(tzinfo=BERLIN).astimezone(ZoneInfo("UTC"))
            for time in times
        ]
        text = table([f"{cell:%Y-%m-%dT%H:%M:%SZ}" for cell in cells])
        refused(text, "between 22:00 and 23:00", "write local dates", fill=fill)


def test_the_hours_of_clock_changes_are_explained():
    """A local clock without offsets has one hour twice in autumn and lacks one in spring."""
    autumn = stamps(np.arange("2021-10-30", "2021-11-01", dtype="M8[h]"), BERLIN, "%Y-%m-%d %H:%M")
    refused(table(autumn), "2021-10-31 02:00:00 is there twice", "summer time", "UTC or offsets")
    spring = stamps(np.arange("2022-03-26", "2022-03-28", dtype="M8[h]"), BERLIN, "%Y-%m-%d %H:%M")
    refused(table(spring), "missing stamps of step h: 1", "summer time")


@pytest.mark.parametrize(
    "text, seconds, name",
    [
        ("Z", 0, "UTC"),
        ("+02", 7200, "+02:00"),
        ("-0330", -12600, "-03:30"),
        ("+05:45", 20700, "+05:45"),
    ],
)
def test_offsets(text, seconds, name):
    assert zones.offset(text) == seconds and zones.zone_name(seconds) == name
    assert zones.offset("CET") is None
