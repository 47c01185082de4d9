"""Windows: what belongs to which part, what a batch holds, and that nothing of the future leaks."""

import jax
import numpy as np
import pytest

from dljax.data import feed
from dljax.data.calendar import calendar, calendar_of_parts, future, parts
from dljax.data.panel import join
from dljax.data.sources.series import Series
from dljax.data.windows import (
    Split,
    after_the_end,
    all_windows,
    ett_split,
    fit_scaler,
    scaled,
    shares,
    windows,
)

SPLIT = Split((0, 60), (60, 80), (80, 100))
W, H = 10, 5


def ramp(rows=110, freq="h", covariates=1):
    """Two columns whose value tells the row, and a covariate that does so too."""
    time = np.datetime64("2020-01-01", "s") + 3600 * np.arange(rows)
    t = np.arange(rows, dtype=np.float64)[:, None]
    names = tuple(f"c{i}" for i in range(covariates))
    columns = np.concatenate([t, 1000 - 2 * t], -1)
    return Series("ramp", time, columns, ("a", "b"), np.repeat(-t, covariates, 1), names, freq, 24)


def batches(examples):
    """All batches of `Examples`, padding taken off, one after another."""
    parts = []
    for batch in map(jax.device_get, feed.batches(examples)):
        real = batch.pop("example_mask") > 0
        parts.append({name: x[real] for name, x in batch.items()})
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


@pytest.fixture(scope="module")
def cut():
    return windows(ramp(), W, H, 8, SPLIT)


def rows_of(cut, scaled):
    return cut.scaler.undo(scaled)[..., 0]


def test_every_window_is_scored_and_its_future_lies_in_its_part(cut):
    for part, first, end in (("validation", 60, 80), ("test", 80, 100)):
        batch = batches(getattr(cut, part))
        futures = rows_of(cut, batch["future"])
        expected = np.arange(first, end - H + 1)[:, None] + np.arange(H)
        np.testing.assert_allclose(futures, expected, atol=1e-4)
        pasts = rows_of(cut, batch["past"])  # reach back over the boundary
        np.testing.assert_allclose(pasts, expected[:, :1] - W + np.arange(W), atol=1e-4)
        np.testing.assert_array_equal(cut.origins[part], expected[:, 0])
        np.testing.assert_array_equal(cut.truth(part), batch["future"])


def test_training_windows_lie_in_the_train_part_and_each_is_seen_once_an_epoch(cut):
    count = 60 - W - H + 1
    items = cut.train.chunk(0, 0, count).reshape(-1)  # 8 epochs: `count` steps of batches of 8
    for epoch in items.reshape(8, count):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(count))
    batch = jax.device_get(cut.train.batch(cut.train.arrays, items[:count]))
    seen = rows_of(cut, np.concatenate([batch["past"], batch["future"]], 1))
    np.testing.assert_allclose(np.diff(seen), 1, atol=1e-4)
    assert seen.min() == pytest.approx(0, abs=1e-4) and seen.max() == pytest.approx(59, abs=1e-4)
    assert not np.array_equal(cut.train.chunk(0, 0, 5), cut.train.chunk(1, 0, 5))


def test_a_batch_carries_covariates_of_the_past_and_the_calendar_of_both(cut):
    batch = batches(cut.test)
    names, dates = calendar(ramp().time, "h")
    assert batch["past_known"].shape == (16, W, 1 + len(names))
    assert batch["future_known"].shape == (16, H, len(names))
    np.testing.assert_array_equal(batch["past_known"][0, :, 1:], dates[70:80])
    np.testing.assert_array_equal(batch["future_known"][0], dates[80:85])
    covariate = cut.covariate_scaler.undo(batch["past_known"][0, :, :1])
    np.testing.assert_allclose(covariate[:, 0], -np.arange(70, 80), atol=1e-4)
    np.testing.assert_array_equal(cut.future_known, dates[:100])


def test_the_calendar_may_be_left_out():
    cut = windows(ramp(), W, H, 8, SPLIT, dated=False)
    batch = batches(cut.test)
    assert batch["past_known"].shape == (16, W, 1) and batch["future_known"].shape == (16, H, 0)
    end, _ = after_the_end(ramp(), W, H, dated=False)
    end = scaled(end, "h", H, cut.scaler, cut.covariate_scaler)
    assert end["past_known"].shape == (1, W, 1) and end["future_known"].shape == (1, H, 0)


def with_known(rows=110, coming=H):
    """The ramp with a second covariate, known of `coming` rows after the end: the row squared."""
    series = ramp(rows)
    square = np.square(np.arange(rows + coming, dtype=np.float64))[:, None]
    return series._replace(
        covariates=np.concatenate([series.covariates, square[:rows]], -1),
        covariate_names=("c0", "square"),
        known=1,
        coming_time=series.time[-1] + 3600 * np.arange(1, coming + 1),
        coming=square[rows:],
    )


def test_known_covariates_are_there_for_the_future():
    """In windows of the file and after its end, scaled alike; other covariates are not."""
    series = with_known()
    cut = windows(series, W, H, 8, SPLIT)
    mean, std = (x[1] for x in cut.covariate_scaler)
    batch, dates = batches(cut.test), calendar(series.time, "h")[1].shape[1]
    assert batch["past_known"].shape[-1] == 2 + dates
    assert batch["future_known"].shape[-1] == 1 + dates
    np.testing.assert_allclose(
        batch["future_known"][0, :, 0] * std + mean, np.arange(80, 85) ** 2, rtol=1e-5
    )
    end, _ = after_the_end(series, W, H)
    end = scaled(end, "h", H, cut.scaler, cut.covariate_scaler)
    longer = windows(with_known(115), W, H, 8, Split((0, 60), (60, 80), (80, 115)))
    truth = batches(longer.test)
    for name in ("past", "past_known", "future_known"):
        np.testing.assert_allclose(end[name][0], truth[name][-1], atol=1e-5)
    both = join([cut, longer], ["a", "b"], 8)
    for name, values in truth.items():
        np.testing.assert_array_equal(batches(both.test)[name][-len(values) :], values)


def test_known_covariates_must_cover_the_horizon():
    missing, gap = with_known(), with_known()
    missing.coming[3] = np.nan
    gap.coming_time[2:] += np.timedelta64(1, "h")
    for series, words in (
        (
            with_known(coming=2),
            "square must be known for the 5 steps .* has 2 rows after 2020-01-0",
        ),
        (missing, "square must be known .* no value at 2020-01-05 17:00:00"),
        (gap, "follow in steps of h: 2020-01-05 16:00:00 is missing"),
    ):
        with pytest.raises(ValueError, match=words):
            after_the_end(series, W, H)


def test_scaling_knows_the_train_rows_alone(cut):
    spoilt = ramp()
    spoilt.values[60:] = 1e6
    spoilt.covariates[60:] = 1e6
    other = windows(spoilt, W, H, 8, SPLIT)
    for a, b in zip(
        cut.scaler + cut.covariate_scaler, other.scaler + other.covariate_scaler, strict=True
    ):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(cut.values[:60].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(cut.values[:60].std(0), 1, atol=1e-6)
    np.testing.assert_allclose(cut.scaler.undo(cut.values), ramp().values[:100], atol=1e-4)
    np.testing.assert_array_equal(fit_scaler(np.full((5, 1), 3.0)).std, [1.0])


def test_all_windows_of_another_series_are_scaled_as_in_training(cut):
    batch = batches(all_windows(ramp(), W, H, cut.scaler, cut.covariate_scaler))
    assert len(batch["past"]) == 110 - W - H + 1
    first = batches(cut.test)
    for name, values in first.items():
        np.testing.assert_array_equal(batch[name][80 - W :][: len(values)], values)
    with pytest.raises(ValueError, match="need 15 rows; ramp has 14"):
        all_windows(ramp(14), W, H, cut.scaler, cut.covariate_scaler)


def test_splits():
    assert shares(1000, 0.1, 0.2) == Split((0, 700), (700, 800), (800, 1000))
    assert ett_split(ramp(14400)) == Split((0, 8640), (8640, 11520), (11520, 14400))
    quarters = ramp(57600)._replace(freq="15min")
    assert ett_split(quarters) == Split((0, 34560), (34560, 46080), (46080, 57600))
    with pytest.raises(ValueError, match="needs 14400 rows; ramp has 110"):
        ett_split(ramp())
    with pytest.raises(ValueError, match="an hour or 15 minutes; ramp has D"):
        ett_split(ramp(20000)._replace(freq="D"))
    with pytest.raises(ValueError, match="below 1"):
        shares(100, 0.5, 0.6)


@pytest.mark.parametrize(
    "window, horizon, batch, words",
    [
        (10, 21, 8, "horizon=21 is longer than the validation part of ramp: 20 of 110 rows"),
        (56, 5, 8, "need 61 rows to train on; ramp has 60"),
        (10, 5, 47, "batch_size=47 must be between 1 and the 46"),
    ],
)
def test_parts_that_are_too_short_are_refused(window, horizon, batch, words):
    with pytest.raises(ValueError, match=words):
        windows(ramp(), window, horizon, batch, SPLIT)


def test_the_window_after_the_end_of_a_file(cut):
    series = ramp()
    end, stamps = after_the_end(series, W, H)
    batch = jax.jit(scaled, static_argnums=(1, 2))(end, "h", H, cut.scaler, cut.covariate_scaler)
    np.testing.assert_allclose(rows_of(cut, batch["past"])[0], np.arange(100, 110), atol=1e-4)
    assert str(stamps[0]) == "2020-01-05T14:00:00" and len(stamps) == H
    longer = windows(ramp(115), W, H, 8, Split((0, 60), (60, 80), (80, 115)))
    truth = batches(longer.test)  # had the five rows been there, the last window would be this one
    for name in ("past", "past_known", "future_known"):
        np.testing.assert_allclose(batch[name][0], truth[name][-1], atol=1e-5)
    with pytest.raises(ValueError, match="ramp has 110 rows: the forecast needs a window of 111"):
        after_the_end(series, 111, H)


def test_the_calendar():
    time = np.array(["2020-01-01", "2020-01-06", "2021-01-01T06"], "datetime64[s]")
    names, values = calendar(time, "h")
    assert names[::2] == ("sin of year", "sin of week", "sin of day")
    np.testing.assert_allclose(values[0, :2], [0, 1], atol=1e-6)  # the year's first second
    np.testing.assert_allclose(values[1, 2:4], [0, 1], atol=1e-6)  # a Monday's
    np.testing.assert_allclose(values[2, 4:], [1, 0], atol=1e-6)  # a quarter of the day
    assert [len(calendar(time, freq)[0]) for freq in ("MS", "D", "B", "5min")] == [2, 4, 4, 6]


@pytest.mark.parametrize("freq", ["MS", "B", "5min"])
def test_the_calendar_inside_a_program(freq):
    time = np.datetime64("1896-12-30T18:25:07") + np.arange(0, 110000, 7) * np.timedelta64(26, "h")
    inside = jax.jit(calendar_of_parts, static_argnums=1)(parts(time), freq)
    np.testing.assert_allclose(inside, calendar(time, freq)[1], atol=2e-6)  # angles of float32


@pytest.mark.parametrize(
    "last, freq, expected",
    [
        ("2020-02-28", "D", ["2020-02-29", "2020-03-01"]),
        ("2020-02-28", "B", ["2020-03-02", "2020-03-03"]),
        ("2020-01-31", "MS", ["2020-02-29", "2020-03-31"]),
        ("2020-11-15", "MS", ["2020-12-15", "2021-01-15"]),
        ("2020-12-31T23:45", "15min", ["2021-01-01T00:00", "2021-01-01T00:15"]),
        ("2020-02-29", "YS", ["2021-02-28", "2022-02-28"]),
    ],
)
def test_time_goes_on(last, freq, expected):
    stamps = future(np.array([last], "datetime64[s]"), freq, 2)
    np.testing.assert_array_equal(stamps, np.array(expected, "datetime64[s]"))
