"""Baselines by hand, against scikit-learn, and blind to what comes after an origin."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from dljax.data.calendar import calendar
from dljax.rnn.forecasting import baselines

H, W = 4, 12
ORIGINS = np.array([40, 41, 50])


def noise(rows=80, columns=2, seed=0):
    """A sine of period 8 with noise, and a walk that wanders far from it."""
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(rows) * np.pi / 4)[:, None] + 0.3 * rng.normal(size=(rows, columns))
    wave[:, 1:] = 5 + rng.normal(size=(rows, columns - 1)).cumsum(0)
    return wave


def xy(column, origins):
    x = np.stack([column[o - W : o] for o in origins])
    return x, np.stack([column[o : o + H] for o in origins])


def test_naive_forecasts_by_hand():
    values = np.array([[1.0], [2.0], [4.0], [7.0], [0.0]])
    at = np.array([4])

    def forecast(fit):
        return fit(values[:4], 0)(values, at)[0, :, 0].tolist()

    assert forecast(baselines.last_value(2)) == [7, 7]
    assert forecast(baselines.seasonal(2, 3)) == [4, 7, 4]
    assert forecast(baselines.drift(2)) == [9, 11]  # (7 - 1) / 3 a step
    assert forecast(baselines.mean(2)) == [3.5, 3.5]
    with pytest.raises(ValueError, match="a season of 5 rows needs more than 4"):
        baselines.seasonal(5, 2)(values, 0)(values, at)


def test_climatology_repeats_the_calendar():
    time = np.datetime64("2020-01-01", "s") + 3600 * np.arange(24 * 21)
    _, dates = calendar(time, "h")
    day = np.sin(2 * np.pi * np.arange(24 * 21) / 24)[:, None]
    predict = baselines.climatology(dates, 30)(day[: 24 * 14], 0)
    np.testing.assert_allclose(predict(day, np.array([340]))[0], day[340:370], atol=1e-4)


def test_least_squares_is_that_of_scikit_learn():
    values = noise()
    parts = [xy(column[:60], np.arange(W, 60 - H + 1)) for column in values.T]
    x, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    reference = LinearRegression().fit(x, y)
    predict = baselines.least_squares(W, H)(values[:60], 0)
    for c in range(2):
        expected = reference.predict(xy(values[:, c], ORIGINS)[0])
        np.testing.assert_allclose(predict(values, ORIGINS)[..., c], expected, atol=1e-4)


def test_ridge_is_that_of_scikit_learn_with_what_does_best_on_the_held_rows():
    values, held, alphas = noise(), 20, (1e-3, 1e-1)
    tried = []
    for alpha in alphas:
        for shared in (True, False):
            for shift in (True, False):
                train, test, far = [], [], []
                for column in values.T:
                    for origins, out in (
                        (np.arange(W, 40 - H + 1), train),
                        (np.arange(40, 60 - H + 1), test),
                        (ORIGINS, far),
                    ):
                        x, y = xy(column, origins)
                        last = x[:, -1:] if shift else np.zeros((len(x), 1))
                        out.append((x - last, y - last, last))
                groups = [train, train] if shared else [train[:1], train[1:]]
                error, forecasts = 0, []
                for c, group in enumerate(groups):
                    x, y = (np.concatenate([part[i] for part in group]) for i in range(2))
                    model = Ridge(alpha * len(x)).fit(x, y)
                    error += ((model.predict(test[c][0]) - test[c][1]) ** 2).sum()
                    forecasts.append(model.predict(far[c][0]) + far[c][2])
                tried.append((error, np.stack(forecasts, -1)))
    best = min(tried, key=lambda pair: pair[0])[1]
    predict = baselines.ridge(W, H, alphas)(values[:60], held)
    np.testing.assert_allclose(predict(values, ORIGINS), best, atol=1e-4)


def test_a_line_and_a_wave_are_continued():
    t = np.arange(100.0)
    values = np.stack([np.sin(t / 3), np.cos(t / 3)], -1)
    predict = baselines.least_squares(W, H)(values[:60], 10)
    truth = np.stack([values[o : o + H] for o in ORIGINS])
    np.testing.assert_allclose(predict(values, ORIGINS), truth, atol=1e-3)
    ramp = np.stack([t, -2 * t], -1)
    predict = baselines.ridge(W, H)(ramp[:60], 10)  # further than any value it has seen
    truth = np.stack([ramp[o : o + H] for o in (80, 90)])
    np.testing.assert_allclose(predict(ramp, np.array([80, 90])), truth, rtol=1e-3)


def every():
    _, dates = calendar(np.datetime64("2020-01-01", "s") + 3600 * np.arange(80), "h")
    return baselines.naive(8, H, dates) | baselines.learned(W, H)


@pytest.mark.parametrize("name", every())
def test_no_baseline_looks_ahead(name):
    values, fit = noise(), every()[name]
    predict = fit(values[:40].copy(), 10)
    seen = predict(values, ORIGINS)
    assert seen.shape == (3, H, 2) and np.isfinite(seen).all()
    spoilt = values.copy()
    spoilt[41:] = np.nan  # the first two origins know rows up to 40 alone
    np.testing.assert_array_equal(predict(spoilt, ORIGINS)[:2], seen[:2])
    np.testing.assert_array_equal(predict(values[:50], ORIGINS), seen)  # no future rows at all


def test_blocks_of_windows_make_no_difference(monkeypatch):
    values = noise()
    whole = baselines.ridge(W, H)(values[:60], 20)(values, ORIGINS)
    monkeypatch.setattr(baselines, "BLOCK", 2)
    np.testing.assert_allclose(baselines.ridge(W, H)(values[:60], 20)(values, ORIGINS), whole)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="window=12 and horizon=4 need more than 15 rows"):
        baselines.least_squares(W, H)(noise(15), 0)
    with pytest.raises(ValueError, match="needs 4 held-out rows .a horizon., not 3"):
        baselines.ridge(W, H)(noise(30), 3)


def test_a_season_of_one_step_is_no_season():
    assert "seasonal naive" not in baselines.naive(1, H, np.zeros((5, 2)))
