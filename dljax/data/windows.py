"""Windows of a series, a past and the future to forecast, for the loop.

The series lies on the device once; a batch is named by the rows at which its windows begin and cut
out inside the compiled program.

The protocol: time is split into train, validation and test, in this order. A window belongs to a
part if its whole future lies there. Training windows lie within the train part; the past of the
others may reach back across a boundary, as it would in use. Windows begin at every row. The scaler
is fitted on the rows of train only.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dljax.data.calendar import calendar, calendar_of_parts, future, parts
from dljax.data.feed import Batch, Examples, Feed
from dljax.data.sources import frequency
from dljax.data.sources.resampling import written
from dljax.data.sources.series import Series
from dljax.data.window_batches import EVALUATION_BATCH, Cutter, examples, held_out, train_feed


class Split(NamedTuple):
    """Rows of the parts, (first, end) each, the end left out."""

    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]


def shares(rows: int, validation: float = 0.15, test: float = 0.15) -> Split:
    """The last share of the rows as test part, the share before it as validation part."""
    if validation <= 0 or test <= 0 or validation + test >= 1:
        raise ValueError(f"validation={validation} and test={test} must be shares, below 1 in all")
    second = rows - round(test * rows)
    first = second - round(validation * rows)
    return Split((0, first), (first, second), (second, rows))


def ett_split(series: Series) -> Split:
    """The standard split of ETTh1, ETTh2, ETTm1, ETTm2: 12, 4 and 4 months of 30 days.

    Zhou et al. 2021 (Informer); the rows after these 20 months are not used.

    Raises ValueError unless the step is an hour or 15 minutes and the rows suffice.
    """
    kind, seconds = frequency.step(series.freq)
    if kind != "s" or seconds not in (3600, 900):
        raise ValueError(
            f"the ETT split is for steps of an hour or 15 minutes; {series.name} has {series.freq}"
        )
    month = 30 * 86400 // seconds
    if len(series.time) < 20 * month:
        raise ValueError(
            f"the ETT split needs {20 * month} rows; {series.name} has {len(series.time)}"
        )
    return Split(*((first * month, end * month) for first, end in ((0, 12), (12, 16), (16, 20))))


class Scaler(NamedTuple):
    """Mean and standard deviation of each column, [C] each."""

    mean: np.ndarray
    std: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """values [..., C] in standard deviations from the mean."""
        return (values - np.asarray(self.mean)) / np.asarray(self.std)

    def undo(self, scaled: np.ndarray) -> np.ndarray:
        """The values [..., C] of scaled ones."""
        return scaled * np.asarray(self.std) + np.asarray(self.mean)


def fit_scaler(values: np.ndarray) -> Scaler:
    """The `Scaler` of rows [T, C]; a column that is constant there keeps its scale."""
    std = values.std(0)
    return Scaler(values.mean(0), np.where(std > 1e-12 * np.abs(values).max(0), std, 1.0))


class Windows(NamedTuple):
    """A series ready for the loop.

    train, validation, test: batches {"past" [B, W, C], "past_known" [B, W, K1], "future" [B, H, C],
    "future_known" [B, H, K2]} float32, evaluation with "example_mask" [B] too. past_known is the
    scaled covariates, then the calendar; future_known the covariates that are known of the future,
    then the calendar. values: the scaled
    targets, float32 [T, C], up to the end of the test part. known: float32 [T, K1]. origins: part
    -> int32 [N], the first row of each window's future, in order. scaler: of the targets;
    covariate_scaler: of the covariates, of which the last `coming` ones are known of the future.
    parts: of several series joined (`panel.join`), those of
    each, with `labels`; split and scalers are then those of the first.
    """

    train: Feed
    validation: Examples
    test: Examples
    split: Split
    scaler: Scaler
    covariate_scaler: Scaler
    values: np.ndarray
    known: np.ndarray
    origins: dict[str, np.ndarray]
    window: int
    horizon: int
    coming: int = 0
    parts: tuple[Windows, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def future_known(self) -> np.ndarray:
        """What is known of the future too [T, K2]: scaled covariates, then calendar features."""
        return self.known[:, len(self.covariate_scaler.mean) - self.coming :]

    def truth(self, part: str) -> np.ndarray:
        """The scaled futures of a part's windows, float32 [N, H, C]."""
        views = np.lib.stride_tricks.sliding_window_view(self.values, self.horizon, 0)
        return np.moveaxis(views[self.origins[part]], -1, 1)

    def each(self) -> list[tuple[Windows, dict[str, slice]]]:
        """The windows of each series, and where they are among all: part -> slice."""
        found, ends = [], dict.fromkeys(self.origins, 0)
        for part in self.parts or (self,):
            begins = ends
            ends = {name: begins[name] + len(x) for name, x in part.origins.items()}
            found.append((part, {name: slice(begins[name], ends[name]) for name in ends}))
        return found


def windows(
    series: Series,
    window: int,
    horizon: int,
    batch_size: int,
    split: Split,
    *,
    multiple: int = 1,
    dated: bool = True,
) -> Windows:
    """All windows of `window` rows of past and `horizon` rows of future of a series.

    multiple: what the size of an evaluation batch must be a multiple of (the number of devices).
    dated: whether calendar features are among the known ones.

    Raises:
      ValueError: a part is too short for one window, or the batch larger than the train part.
    """
    rows = {name: end - first for name, (first, end) in split._asdict().items()}
    if window + horizon > rows["train"]:
        raise ValueError(
            f"window={window} and horizon={horizon} need {window + horizon} rows to train on; "
            f"{series.name} has {rows['train']} there of {len(series.time)}"
        )
    for name in ("validation", "test"):
        if horizon > rows[name]:
            raise ValueError(
                f"horizon={horizon} is longer than the {name} part of {series.name}: "
                f"{rows[name]} of {len(series.time)} rows"
            )
    train = slice(*split.train)
    scaler = fit_scaler(series.values[train])
    covariate_scaler = fit_scaler(series.covariates[train])
    values, known = _scaled_rows(series, split.test[1], scaler, covariate_scaler, dated)
    first = {name: max(span[0], window) for name, span in split._asdict().items()}
    first["train"] = split.train[0] + window
    origins = {
        name: np.arange(first[name], span[1] - horizon + 1, dtype=np.int32)
        for name, span in split._asdict().items()
    }
    cut = Cutter(window, horizon, values.shape[1], len(series.covariate_names) - series.known)
    starts = {name: x - window for name, x in origins.items()}
    return Windows(
        train_feed(values, known, starts["train"], batch_size, cut),
        *held_out(values, known, starts, batch_size, multiple, cut),
        split,
        scaler,
        covariate_scaler,
        values,
        known,
        origins,
        window,
        horizon,
        series.known,
    )


def all_windows(
    series: Series,
    window: int,
    horizon: int,
    scaler: Scaler,
    covariate_scaler: Scaler,
    *,
    dated: bool = True,
) -> Examples:
    """Every window of another series than that of training, scaled as in training.

    Batches are as those of `Windows.test`. Raises ValueError where the series is too short for one.
    """
    rows = len(series.time)
    if window + horizon > rows:
        raise ValueError(
            f"window={window} and horizon={horizon} need {window + horizon} rows; "
            f"{series.name} has {rows}"
        )
    values, known = _scaled_rows(series, rows, scaler, covariate_scaler, dated)
    cut = Cutter(window, horizon, values.shape[1], len(series.covariate_names) - series.known)
    starts = np.arange(rows - window - horizon + 1, dtype=np.int32)
    return examples(values, known, starts, EVALUATION_BATCH, 1, cut)


def after_the_end(
    series: Series, window: int, horizon: int, *, dated: bool = True
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The last window of a series, unscaled, and the times of its future, datetime64[s] [H].

    "past" float32 [1, W, C]; "covariates" float32 [1, W, K] if there are any, and
    "future_covariates" [1, H, K3] if some are known of the future; if `dated`, "past_time"
    [1, W, 2] and "future_time" [1, H, 2], `calendar.parts`. What `scaled` takes.
    Raises ValueError where the series is shorter than the window, or what is known of the future
    does not cover the horizon.
    """
    if len(series.time) < window:
        raise ValueError(
            f"{series.name} has {len(series.time)} rows: the forecast needs a window of {window}"
        )
    coming = _coming_time(series, horizon)
    found = {"past": series.values[-window:].astype(np.float32)}
    if series.covariate_names:
        found["covariates"] = series.covariates[-window:].astype(np.float32)
    if series.known:
        found["future_covariates"] = series.coming[:horizon].astype(np.float32)
    if dated:
        found["past_time"], found["future_time"] = parts(series.time[-window:]), parts(coming)
    return {name: x[None] for name, x in found.items()}, coming


def _coming_time(series: Series, horizon: int) -> np.ndarray:
    """The times of the horizon; ValueError where covariates that should be known there are not."""
    steps = future(series.time, series.freq, horizon)
    if not series.known:
        return steps
    names, last = ", ".join(series.known_names), written(series.time[-1])
    rows = len(series.coming_time)
    if rows < horizon:
        raise ValueError(
            f"{series.name}: {names} must be known for the {horizon} steps to forecast; the file "
            f"has {rows} rows after {last}: add rows with them whose {series.columns[0]} is empty."
        )
    found = series.coming_time[:horizon]
    off = found != steps
    if off.any() and frequency.step(series.freq)[0] != "B":  # whose holidays only the file knows
        row = int(off.argmax())
        raise ValueError(
            f"{series.name}: the rows after {last} must follow in steps of {series.freq}: "
            f"{written(steps[row])} is missing."
        )
    absent = np.isnan(series.coming[:horizon])
    if absent.any():
        row, column = (int(x[0]) for x in np.nonzero(absent))
        raise ValueError(
            f"{series.name}: {series.known_names[column]} must be known for the {horizon} steps to "
            f"forecast; it has no value at {written(found[row])}."
        )
    return found


def scaled(
    inputs: dict[str, jax.Array], freq: str, horizon: int, scaler: Scaler, covariate_scaler: Scaler
) -> Batch:
    """The batch, without its future, of unscaled windows; to be called in a compiled program.

    Has "past" [B, W, C], "past_known" [B, W, K1] and "future_known" [B, H, K2].
    """
    past = (inputs["past"] - scaler.mean) / scaler.std
    known, coming = [past[..., :0]], [jnp.zeros((past.shape[0], horizon, 0))]
    mean, std = covariate_scaler
    if "covariates" in inputs:
        known.append((inputs["covariates"] - mean) / std)
    if "future_covariates" in inputs:
        values = inputs["future_covariates"]
        first = len(mean) - values.shape[-1]
        coming.append((values - mean[first:]) / std[first:])
    if "past_time" in inputs:
        known.append(calendar_of_parts(inputs["past_time"], freq))
        coming.append(calendar_of_parts(inputs["future_time"], freq))
    known, coming = (jnp.concatenate(x, -1) for x in (known, coming))
    return {"past": past, "past_known": known, "future_known": coming}


def _scaled_rows(
    series: Series, end: int, scaler: Scaler, covariate_scaler: Scaler, dated: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The scaled targets [end, C], and what is known: scaled covariates and calendar [end, K1]."""
    values = scaler.apply(series.values[:end]).astype(np.float32)
    known = covariate_scaler.apply(series.covariates[:end]).astype(np.float32)
    if dated:
        known = np.concatenate([known, calendar(series.time[:end], series.freq)[1]], -1)
    return values, known
