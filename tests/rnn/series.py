"""Small series and their windows, with known answers."""

import numpy as np

from dljax.data.sources.series import Series
from dljax.nn.forecasters import Direct, SegRNN
from dljax.rnn.forecasting import forecaster, likelihoods
from dljax.train import optim

W, H, C = 12, 4, 2


def sines(rows: int, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Two sines of 8 and 12 rows, [rows, 2]."""
    t = np.arange(rows)[:, None]
    rng = np.random.default_rng(seed)
    return np.sin(2 * np.pi * (t / np.array([8, 12]) + 0.1)) + noise * rng.normal(size=(rows, 2))


def hourly(values: np.ndarray) -> Series:
    time = np.datetime64("2024-01-01", "s") + np.arange(len(values)) * np.timedelta64(3600, "s")
    return Series("sines", time, values, ("a", "b"), np.zeros((len(values), 0)), (), "h", 24)


def cut(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """`count` windows one row apart, as arrays of batches; what is known are two waves."""
    rows = count + W + H - 1
    values, known = sines(rows, 0.05, seed), sines(rows)

    def windows(x, first, length):
        view = np.lib.stride_tricks.sliding_window_view(
            x[first : first + count + length - 1], length, 0
        )
        return np.moveaxis(view, -1, 1).astype(np.float32)

    return {
        "past": windows(values, 0, W),
        "past_known": windows(known, 0, W),
        "future": windows(values, W, H),
        "future_known": windows(known, W, H),
    }


def gru_quantiles():
    """A task: GRU with a dropout, quantiles, normalised by the last value."""
    likelihood = likelihoods.quantiles((0.1, 0.5, 0.9))
    model = Direct(H, likelihood.outputs, features=8, dropout=0.1)
    # Gradients of a quantile loss are counts that cancel to zero: Adam would amplify the rounding.
    tx = optim.optimizer("momentum", 0.1)
    return _task(model, likelihood, tx, forecaster.by_last_value)


def segrnn():
    likelihood = likelihoods.point("mae")
    tx = optim.optimizer("adamw", 1e-2)
    return _task(SegRNN(H, 1, segment=4, features=8, dropout=0.2), likelihood, tx)


def _task(model, likelihood, tx, normalize=forecaster.no_normalization):
    made = forecaster.Forecaster(model, likelihood, normalize)
    return forecaster.task(made, tx, forecaster.Shapes(W, H, C, C, C))
