"""Calendar features of time stamps, known for the future as for the past."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from dljax.data.sources import frequency

YEAR, WEEK, DAY = 365.2425, 7.0, 86400.0


def calendar(time: np.ndarray, freq: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and values of the calendar features, float32 [T, K] within -1..1.

    time: datetime64[s] [T]; freq: its step. Each cycle that is longer than a step is a point on the
    unit circle, so that its end is next to its beginning: the year always, the week up to a step
    of a day (or business day), the day below that. K is 2, 4 or 6.
    """
    kind, size = frequency.step(freq)
    days = time.astype("datetime64[D]")
    seconds = (time - days) / np.timedelta64(1, "s")
    whole = days.astype(np.float64)
    day_of_year = (days - time.astype("datetime64[Y]")) / np.timedelta64(1, "D")
    cycles = {"year": (day_of_year + seconds / DAY) / YEAR}
    if kind == "B" or (kind == "s" and size < WEEK * DAY):
        cycles["week"] = ((whole + 3) % WEEK + seconds / DAY) / WEEK  # 1970-01-01 was a Thursday
    if kind == "s" and size < DAY:
        cycles["day"] = seconds / DAY
    angle = 2 * np.pi * np.stack(list(cycles.values()), -1)
    values = np.stack([np.sin(angle), np.cos(angle)], -1).reshape(len(time), -1)
    names = tuple(f"{wave} of {cycle}" for cycle in cycles for wave in ("sin", "cos"))
    return names, values.astype(np.float32)


def parts(time: np.ndarray) -> np.ndarray:
    """Days since 1970-01-01 and seconds of the day, int32 [..., 2], of datetime64[s] [...]."""
    days = time.astype("datetime64[D]")
    seconds = (time - days).astype("timedelta64[s]")
    return np.stack([days.astype(np.int32), seconds.astype(np.int32)], -1)


def calendar_of_parts(time: jax.Array, freq: str) -> jax.Array:
    """The values of `calendar`, float32 [..., K], of `parts` [..., 2], inside a program.

    The year is found as Hinnant does (civil_from_days, 2013): it begins after the leap day.
    """
    kind, size = frequency.step(freq)
    days, seconds = time[..., 0], time[..., 1]
    of_era = (days + 719468) % 146097  # days of 400 years that begin on a 1st of March
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    day = of_era - (365 * year + year // 4 - year // 100)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year == 0))
    day = jnp.where(day >= 306, day - 306, day + 59 + leap)  # of the year since January
    share = seconds / DAY
    cycles = [(day + share) / YEAR]
    if kind == "B" or (kind == "s" and size < WEEK * DAY):
        cycles.append(((days + 3) % 7 + share) / WEEK)
    if kind == "s" and size < DAY:
        cycles.append(share)
    angle = 2 * jnp.pi * jnp.stack(cycles, -1)
    values = jnp.stack([jnp.sin(angle), jnp.cos(angle)], -1)
    return values.reshape(*values.shape[:-2], -1)


def future(time: np.ndarray, freq: str, count: int) -> np.ndarray:
    """The `count` times after the last of time, datetime64[s] [count].

    Future holidays are unknown: business days continue as Monday to Friday.
    """
    return frequency.steps_after(time[-1], freq, count + 1)[1:]
