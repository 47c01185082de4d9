"""Dates as text: the forms that are understood, and the times that the cells of a column have.

    read_dates(cells, named=True)   # -> Dates(time, zone, fraction, notes)

Every cell of a column has the form of the first one. ISO dates with any separator, day/month/year
and month/day/year, months by name or number with a year, quarters (1980Q1, Q1 1980), ISO weeks
(2020-W01), 20200101 with a clock, two-digit years. Bare numbers are `date_numbers`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from dljax.data.sources import frequency
from dljax.data.sources.date_fields import (
    EARLIEST,
    LATEST,
    NAT,
    Fields,
    assemble,
    days_after,
    full_years,
    in_the_future,
    is_monotone,
)

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
ZONE = r"\s*(?P<zone>Z|[+-]\d{2}(?::?\d{2})?|[A-Z]{2,5})"
CLOCK = (
    r"(?:[T ,]+(?P<h>\d{1,2})(?::?(?P<mi>\d{2})(?::?(?P<s>\d{2})(?:[.,](?P<f>\d*))?)?)?"
    rf"\s*(?P<half>[ap]\.?m\.?)?(?:{ZONE})?|(?P<day_zone>Z|\s*UTC))?"
)
DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
YEAR = r"(?P<y>\d{4}|'?\d{2})"
FORMS = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "year first": r"(?P<y>\d{4})(?P<sep>[-/.])(?P<m>\d{1,2})(?:[-/.](?P<d>\d{1,2}))?" + CLOCK,
        "year last": r"(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<c>\d{4}|\d{2})" + CLOCK,
        "month and year": r"(?P<m>\d{1,2})[-/](?P<y>\d{4})",
        "digits and clock": r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?=[T ])" + CLOCK,
        "quarter": r"(?P<y>\d{4})[\s:/.-]?Q(?P<q>[1-4])",
        "quarter first": r"Q(?P<q>[1-4])[\s:/.-]*" + YEAR,
        "quarter's number": r"(?P<q>[1-4])Q[\s:/.-]?" + YEAR,
        "week": r"(?P<y>\d{4})-?W(?P<w>\d{2})(?:-?(?P<wd>[1-7]))?",
        "month's number": r"(?P<y>\d{4})M(?P<m>\d{1,2})",
        "name and year": MONTH + r"[\s,/.-]*(?P<y>\d{4})",
        "year and name": r"(?P<y>\d{4})[\s/.-]*" + MONTH,
        "name and number": MONTH + r"[\s/.-]*'?(?P<n>\d{1,2})",
        "number and name": r"(?P<n>\d{1,2})[\s/.-]*" + MONTH,
        "day, name, year": WEEKDAY + DAY + r"[\s/.,-]*" + MONTH + r"[\s/.,-]*" + YEAR + CLOCK,
        "name, day, year": WEEKDAY + MONTH + r"[\s/.,-]*" + DAY + r"[\s/.,-]+" + YEAR + CLOCK,
        "year, name, day": r"(?P<y>\d{4})[\s/.-]+" + MONTH + r"[\s/.-]+" + DAY + CLOCK,
    }.items()
}
ISO = {10: "dddd-dd-dd", 16: "dddd-dd-dd dd:dd", 19: "dddd-dd-dd dd:dd:dd"}


class Dates(NamedTuple):
    """Times of the cells of a column, in their own zone.

    time: datetime64[s] [rows], NaT where a cell is no date. zone: text [rows], '' where a cell
    names none. fraction: bool [rows], whether there is a part of a second, which `time` lacks.
    notes: what was assumed, without the column's name.
    """

    time: np.ndarray
    zone: np.ndarray | None = None
    fraction: np.ndarray | None = None
    notes: tuple[str, ...] = ()


class Ambiguous(ValueError):
    """Dates that may be read in several ways, or have no year."""


def form_of(cell: str, named: bool = True) -> str | None:
    """The name of the form of a date, None for other texts.

    named: whether the column has a name like a date's; in others 1005.12 is a number.
    """
    for name, pattern in FORMS.items():
        found = pattern.fullmatch(cell)
        if found:
            if name == "year first" and found["sep"] == "." and not found["d"]:
                return name if named and EARLIEST <= int(found["y"]) <= LATEST else None
            return name
    return None


def looks_like_date(cell: str) -> bool:
    """Whether a cell of an unnamed column has the form of a date that is no bare number."""
    return form_of(cell, named=False) is not None


def read_dates(cells: np.ndarray) -> Dates | None:
    """The `Dates` of the cells of a column, None where the first one has no known form.

    Raises `Ambiguous` for dates without a year or with several readings.
    """
    quick = _iso(cells)
    if quick is not None:
        return Dates(quick)
    form = form_of(str(cells[0]))
    if form is None:
        return None
    fields = Fields(FORMS[form], cells)
    if form in ("name and number", "number and name"):
        return _month_and_number(fields, form)
    if form == "year last":
        return _year_last(fields, str(cells[0]))
    if form == "year first":
        _check_dotted_months(cells)
    if "q" in fields:
        month = 3 * fields.number("q") - 2
    elif "name" in fields:
        month = _months(fields)
    else:
        month = fields.number("m", 1)
    if "w" in fields:
        time = week_time(fields.number("y"), fields.number("w"), fields.number("wd", 1))
        return Dates(np.where(fields.matched, time, NAT))
    if form == "day, name, year" and fields.short("y").all():
        return _named_day(fields, month)
    day = fields.number("d", 1)

    def build(years: np.ndarray) -> np.ndarray:
        return assemble(fields, years, month, day)

    time, notes = full_years(fields.number("y"), fields.short("y"), build)
    return Dates(time, fields.zones(), fields.fractions(), notes)


def _iso(cells: np.ndarray) -> np.ndarray | None:
    """The times of cells that are all like 2020-01-31 or 2020-01-31 12:30:59; None for others."""
    width = cells.dtype.itemsize // 4
    if width not in ISO or not len(cells):
        return None
    codes = np.ascontiguousarray(cells).view(np.uint32).reshape(len(cells), width)
    for i, kind in enumerate(ISO[width]):
        column = codes[:, i]
        if kind == "d":
            good = (column >= 48) & (column <= 57)
        elif kind == " ":
            good = (column == 32) | (column == 84)
        else:
            good = column == ord(kind)
        if not good.all():
            return None
    try:
        time = cells.astype("datetime64[s]")
    except ValueError:
        return None
    years = (time[[time.argmin(), time.argmax()]]).astype("datetime64[Y]").astype(int) + 1970
    return time if years[0] >= EARLIEST and years[1] <= LATEST else None


def _months(fields: Fields) -> np.ndarray:
    names = fields.text("name")
    return np.array([MONTHS.index(name[:3].lower()) + 1 if name else 0 for name in names])


def week_time(years: np.ndarray, weeks: np.ndarray, weekday: np.ndarray | int = 1) -> np.ndarray:
    """The Monday (1) or another day of ISO weeks, datetime64[s] [rows]; NaT where there is none."""

    def monday(years: np.ndarray) -> np.ndarray:  # of week 1, which holds the 4th of January
        fourth = (years - 1970).astype("datetime64[Y]") + np.timedelta64(3, "D")
        return fourth - ((fourth.astype(int) + 3) % 7).astype("timedelta64[D]")

    start = monday(years)
    time = start + (weeks - 1).astype("timedelta64[W]") + np.asarray(weekday - 1, "m8[D]")
    good = (weeks >= 1) & (start + (weeks - 1).astype("timedelta64[W]") < monday(years + 1))
    return np.where(good, time.astype("datetime64[s]"), NAT)


def other_words(cells: np.ndarray) -> Dates:
    """Dates in words as pandas reads them, if they have a year of four digits; else NaT."""
    year, zone = re.compile(r"(?<!\d)\d{4}(?!\d)"), re.compile(r".*[+-]\d{2}:?\d{2}")
    whole = np.array([bool(year.search(x)) and not zone.fullmatch(x) for x in cells.tolist()])
    if not whole.any():
        return Dates(np.full(len(cells), NAT))
    import pandas as pd  # slow, and of all dates these alone need it

    stamps = pd.to_datetime(pd.Series(cells), errors="coerce", format="mixed", utc=True)
    time = stamps.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    return Dates(np.where(whole, time, NAT))


def _check_dotted_months(cells: np.ndarray) -> None:
    """Raises `Ambiguous` where months like 1980.01 are numbers that lost a zero: 1980.1."""
    if re.fullmatch(r"\d{4}\.\d{1,2}", cells[0]):
        lengths = {len(cell) for cell in cells.tolist()}
        if lengths == {6, 7} and any(cell[5] == "0" for cell in cells.tolist()):
            raise Ambiguous(
                f"dates like {cells[0]} have lost zeros at their end (1980.1 for 1980.10): "
                "write them as YYYY-MM"
            )


def _year_last(fields: Fields, example: str) -> Dates:
    """Dates like 3/4/1999, whose order of day and month is inferred or refused.

    With two-digit years like 21-01-31 the year may be the first number too.
    """
    a, b, c = (fields.number(name) for name in "abc")
    short = fields.short("c")
    orders = {"month/day/year": (c, a, b), "day/month/year": (c, b, a)}
    if short.all():
        orders["year/month/day"] = (a, b, c)
    found: dict[str, tuple[np.ndarray, tuple[str, ...]]] = {}
    for order, (year, month, day) in orders.items():

        def build(years: np.ndarray, month=month, day=day) -> np.ndarray:
            return assemble(fields, years, month, day)

        found[order] = full_years(year, short, build)
    valid = {order: x for order, x in found.items() if not np.isnat(x[0]).any()}
    if not valid:  # some cell is no date in any order: the one that most are shows it
        best = min(found, key=lambda order: np.isnat(found[order][0]).sum())
        return Dates(found[best][0])
    fitting = {order: x for order, x in valid.items() if _plausible(x[0])}
    chosen = valid if len(valid) == 1 else fitting
    if len(chosen) != 1:
        readings = " or ".join(order.removesuffix("/year") for order in fitting or valid)
        raise Ambiguous(f"dates like {example!r} may be {readings}: write them as YYYY-MM-DD")
    order, (time, notes) = chosen.popitem()
    if len(valid) > 1:
        notes = (f"dates like {example} are read as {order}: so they are evenly spaced", *notes)
    return Dates(time, fields.zones(), fields.fractions(), notes)


def _named_day(fields: Fields, month: np.ndarray) -> Dates:
    """01-Jan-49 or 49-Jan-01: day and two-digit year in either order."""
    first, last, short = fields.number("d"), fields.number("y"), fields.short("y")
    found = {}
    for order, (year, day) in {
        "day-month-year": (last, first),
        "year-month-day": (first, last),
    }.items():

        def build(years: np.ndarray, day=day) -> np.ndarray:
            return assemble(fields, years, month, day)

        found[order] = full_years(year, short, build)
    valid = {order: x for order, x in found.items() if not np.isnat(x[0]).any()}
    fitting = {order: x for order, x in valid.items() if _plausible(x[0])} or valid
    if len(fitting) != 1 and len(valid) > 1:
        raise Ambiguous(
            f"dates like {fields.first()!r} may be {' or '.join(valid)}: write them as YYYY-MM-DD"
        )
    time, notes = next(iter((fitting or found).values()))
    return Dates(time, fields.zones(), fields.fractions(), notes)


def _month_and_number(fields: Fields, form: str) -> Dates:
    """Jan-05: month and year, if the rows are then in order and months differ; else no year."""
    month, number = _months(fields), fields.number("n")

    def build(years: np.ndarray) -> np.ndarray:
        return assemble(fields, years, month, np.ones_like(month))

    time, notes = full_years(number, np.ones(len(month), bool), build)
    varied = len(np.unique(month)) > 1
    if form == "number and name":
        varied = varied and (number.max() > 31 or len(np.unique(number)) > 1)
    if not (varied and _plausible(time)):
        raise Ambiguous(f"dates like {fields.first()!r} have no year: write them as YYYY-MM-DD")
    return Dates(time, notes=(f"dates like {fields.first()} are read as month and year", *notes))


def _plausible(time: np.ndarray) -> bool:
    """Whether times are in order, on a grid with most of its rows, and not all in the future.

    A step of years has the same day; other readings than those are preferred to it.
    """
    if not is_monotone(time) or in_the_future(time):
        return False
    ordered = np.unique(time)
    if len(ordered) < 3:
        return False
    freq = frequency.infer(ordered)
    if frequency.step(freq)[0] == "month" and frequency.step(freq)[1] % 12 == 0:
        days = np.unique(ordered - ordered.astype("datetime64[Y]"))
        if not (days == np.timedelta64(0, "s")).all() and not days_after(ordered).all():
            return False
    return len(ordered) / (frequency.position(ordered, freq)[-1] + 1) > 0.5
