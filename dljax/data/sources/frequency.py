"""The regular grid of the times of a series: its step, its gaps, its continuation.

A step is written as pandas writes it: '5min', 'h', 'D', 'B' (business days), 'W', 'MS' (months),
'QS', 'YS'. Months and years are calendar steps, the others have a fixed length. On business
days every row is a step: a holiday is no gap.
"""

from __future__ import annotations

import re

import numpy as np

CLOCK = {"s": 1, "min": 60, "h": 3600, "D": 86400, "W": 604800}
MONTHS = {"M": 1, "MS": 1, "ME": 1, "Q": 3, "QS": 3, "QE": 3, "Y": 12, "YS": 12, "YE": 12}
# Steps of the main season.
SEASONS = {"h": 24, "D": 7, "B": 5, "W": 52, "MS": 12, "QS": 4, "YS": 1}


def step(freq: str) -> tuple[str, int]:
    """('s', seconds), ('month', months) or ('B', 1) of a step like '15min', 'h', 'MS'.

    Raises ValueError for anything else.
    """
    match = re.fullmatch(r"(\d*)\s*([A-Za-z]+)(-[A-Z]{3})?", freq)
    count, unit = (int(match[1] or 1), match[2]) if match else (0, "")
    unit = {"H": "h", "T": "min", "S": "s", "d": "D", "m": "min"}.get(unit, unit)
    if count and unit in CLOCK:
        return "s", count * CLOCK[unit]
    if count and unit in MONTHS:
        return "month", count * MONTHS[unit]
    if count == 1 and unit == "B":
        return "B", 1
    raise ValueError(
        f"freq={freq!r} is no step: use one like 30s, 5min, h, D, B (business days), W, MS (months)"
    )


def alias(kind: str, count: int) -> str:
    """The shortest notation of a step: ('s', 7200) is '2h'."""
    if kind == "B":
        return "B"
    units = (("W", "D", "h", "min", "s"), CLOCK) if kind == "s" else (("YS", "QS", "MS"), MONTHS)
    unit = next(u for u in units[0] if count % units[1][u] == 0)
    number = count // units[1][unit]
    return f"{number if number > 1 else ''}{unit}"


def infer(time: np.ndarray) -> str:
    """The step of ordered times datetime64[s] [T]: the most common difference or calendar step.

    Days without any Saturday and Sunday are business days.
    """
    steps = np.diff(time).astype(np.int64)
    values, counts = np.unique(steps, return_counts=True)
    common = int(values[counts.argmax()])
    days = common / 86400
    if days >= 28 and ((_day(time) == _day(time)[0]).all() or _month_end(time)):
        months = np.diff(time.astype("datetime64[M]")).astype(int)
        values, counts = np.unique(months, return_counts=True)
        return alias("month", int(values[counts.argmax()]))
    weekday = (time.astype("datetime64[D]").astype(int) + 3) % 7
    if days == 1 and (weekday < 5).all() and len(time) > 5:
        return "B"
    return alias("s", max(common, 1))


def _day(time: np.ndarray) -> np.ndarray:
    """Day of the month, from 1."""
    return (time.astype("datetime64[D]") - time.astype("datetime64[M]")).astype(int) + 1


def _month_end(time: np.ndarray) -> bool:
    return bool((_day(time + np.timedelta64(86400, "s")) == 1).all())


def position(time: np.ndarray, freq: str) -> np.ndarray:
    """Steps since the first time, float64 [T]: whole numbers where a time is on the grid."""
    kind, count = step(freq)
    if kind == "s":
        return (time - time[0]).astype(np.int64) / count
    if kind == "B":
        days = time.astype("datetime64[D]")
        return np.busday_count(days[0], days).astype(np.float64)
    months = (time.astype("datetime64[M]") - time[0].astype("datetime64[M]")).astype(int)
    regular = (_day(time) == _day(time)[0]).all() or _month_end(time)
    return months / count + (0.0 if regular else (_day(time) - _day(time)[0]) / 31 / count)


def steps_after(start: np.datetime64, freq: str, count: int) -> np.ndarray:
    """`count` times of the grid from `start` on: datetime64[s] [count]."""
    kind, size = step(freq)
    start = np.datetime64(start, "s")
    if kind == "s":
        return start + np.arange(count) * np.timedelta64(size, "s")
    if kind == "B":
        day = start.astype("datetime64[D]")
        rest = start - day
        return np.busday_offset(day, np.arange(count), roll="forward").astype("M8[s]") + rest
    month = start.astype("datetime64[M]") + np.arange(count) * np.timedelta64(size, "M")
    last = bool(_month_end(np.array([start])))
    after = month + np.timedelta64(1, "M")
    length = (after.astype("M8[D]") - month.astype("M8[D]")).astype(int)
    day = length if last else np.minimum(_day(np.array([start]))[0], length)
    rest = start - start.astype("datetime64[D]")
    return (month.astype("M8[D]") + (day - 1).astype("m8[D]")).astype("M8[s]") + rest


def season(freq: str) -> int:
    """Steps of the main season: a day of steps below a day, a week of days, a year of months.

    1 (no season) where a day is no whole number of steps.
    """
    kind, count = step(freq)
    if kind == "s" and count < 86400:
        return 86400 // count if 86400 % count == 0 else 1
    if kind == "month":
        return max(12 // count, 1) if 12 % count == 0 else 1
    return SEASONS.get(alias(kind, count), 1)
