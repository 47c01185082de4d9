"""Zones of time stamps: one for a whole series, and the same for training and prediction.

Offsets from UTC that change within a file are those of summer time. Stamps a day or more apart, at
the same hour of the local clock, are a calendar: local dates are kept ('local'). Shorter steps are
counted in UTC.
"""

from __future__ import annotations

import numpy as np

LOCAL = "local"
NONE = "none"  # as a run's zone: its stamps name none


class ZoneError(ValueError):
    """Zones that do not fit each other or the run's."""


def offset(zone: str) -> int | None:
    """Seconds that a zone like +01:00 is ahead of UTC; None for a zone's name."""
    if zone in ("Z", "UTC", "GMT"):
        return 0
    if zone[:1] not in ("+", "-"):
        return None
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (1 if zone[0] == "+" else -1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


def zone_name(seconds: int) -> str:
    """'UTC' or '+01:00' of an offset."""
    sign, size = "+-"[seconds < 0], abs(seconds)
    return "UTC" if not seconds else f"{sign}{size // 3600:02d}:{size // 60 % 60:02d}"


def settle(
    time: np.ndarray, zones: np.ndarray | None, wanted: str | None = None
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Times in one zone, its name ('' where none is named), and notes.

    time: of the local clock, datetime64[s] [rows]. zones: text [rows], '' where none is named.
    wanted: the zone of a run, as this function named it; `NONE` for ''. None: as the file is.

    Raises `ZoneError`, without the file's name, for names of zones, stamps of which some name
    a zone, or zones that do not fit the wanted one.
    """
    named = [] if zones is None else sorted(set(zones.tolist()))
    if not named or named == [""]:
        if wanted not in (None, NONE, LOCAL) and not is_calendar(time):
            raise ZoneError(f"no zone is named where the run's stamps are in {wanted}: add +HH:MM")
        return time, "", ()
    if "" in named:
        raise ZoneError("some stamps name a zone and others do not: write all in one way")
    offsets = {zone: offset(zone) for zone in named}
    for zone, seconds in offsets.items():
        if seconds is None:
            raise ZoneError(f"zone {zone} is a name, which is not read: write its offset, +HH:MM")
    seconds = np.array([offsets[zone] for zone in zones.tolist()])
    each = sorted(set(seconds.tolist()))
    listed = ", ".join(zone_name(x) for x in each)
    utc = time - seconds.astype("timedelta64[s]")
    if len(each) == 1:
        return _one(time, utc, each[0], wanted)
    if (wanted != "UTC" and is_calendar(time)) or wanted == LOCAL:
        note = f"Offsets change ({listed}): the dates of the local calendar are kept."
        return time, LOCAL, (note,)
    if wanted == NONE:
        raise ZoneError(f"offsets change ({listed}) where the run's stamps name no zone")
    zone = wanted or "UTC"
    note = f"Offsets change ({listed}): times are turned to {zone}."
    return utc + np.timedelta64(offset(zone), "s"), zone, (note,)


def _one(
    time: np.ndarray, utc: np.ndarray, seconds: int, wanted: str | None
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """`settle` where all stamps have one offset."""
    name = zone_name(seconds)
    if wanted in (None, name):
        return time, name, ()
    if wanted == LOCAL:
        return time, LOCAL, ()
    if wanted == NONE:
        return time, "", (f"Stamps are in {name}; the run's named no zone: the clock is kept.",)
    if is_calendar(time):
        return time, wanted, (f"Stamps are in {name}, the run's in {wanted}: dates are kept.",)
    note = f"Stamps in {name} are turned to {wanted}, as the run's."
    return utc + np.timedelta64(offset(wanted), "s"), wanted, (note,)


def is_calendar(time: np.ndarray) -> bool:
    """Whether all times have the same clock, and no two the same day but equal ones."""
    days = time.astype("datetime64[D]")
    clock = time - days
    return bool((clock == clock[0]).all())


def clock_changes(stamp: np.datetime64) -> bool:
    """Whether clocks commonly change in that hour: a Sunday night of March, October or November."""
    day = stamp.astype("datetime64[D]")
    sunday = (day.astype(int) + 3) % 7 == 6
    month = int(stamp.astype("datetime64[M]").astype(int) % 12) + 1
    hour = int((stamp - day) / np.timedelta64(1, "h"))
    return bool(sunday and month in (3, 10, 11) and hour <= 3)
