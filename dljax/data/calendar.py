"""What the calendar tells of a time, past or future, before anything is observed."""

from __future__ import annotations

import numpy as np

from dljax.data.sources import grid

YEAR, WEEK, DAY = 365.2425, 7.0, 86400.0


def calendar(time: np.ndarray, freq: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and values of the calendar's features, float32 [T, K] within -1..1.

    time: datetime64[s] [T]; freq: its step. Each cycle that is longer than a step is a point on the
    unit circle, so that its end is next to its beginning: the year always, the week up to a step
    of a day (or business day), the day below that. K is 2, 4 or 6.
    """
    kind, size = grid.step(freq)
    days = time.astype("datetime64[D]")
    seconds = (time - days).astype(np.float64)
    whole = days.astype(np.float64)
    cycles = {"year": ((days - time.astype("datetime64[Y]")).astype(float) + seconds / DAY) / YEAR}
    if kind == "B" or (kind == "s" and size < WEEK * DAY):
        cycles["week"] = ((whole + 3) % WEEK + seconds / DAY) / WEEK  # 1970-01-01 was a Thursday
    if kind == "s" and size < DAY:
        cycles["day"] = seconds / DAY
    angle = 2 * np.pi * np.stack(list(cycles.values()), -1)
    values = np.stack([np.sin(angle), np.cos(angle)], -1).reshape(len(time), -1)
    names = tuple(f"{wave} of {cycle}" for cycle in cycles for wave in ("sin", "cos"))
    return names, values.astype(np.float32)


def future(time: np.ndarray, freq: str, count: int) -> np.ndarray:
    """The `count` stamps after the last of time, datetime64[s] [count].

    The future's holidays are not known: business days go on as Monday to Friday.
    """
    return grid.steps_after(time[-1], freq, count + 1)[1:]
