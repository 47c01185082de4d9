"""Walking forward: who knows what when."""

import numpy as np
import pytest

from dljax.rnn.forecasting import baselines
from dljax.rnn.forecasting.walk_forward import walk_forward


def recorder(seen):
    """A model that forecasts how many rows it was fitted to, and writes down what it was given."""

    def fit(values, held):
        known = len(values)

        def predict(values, origins):
            seen.append((known, held, len(values), origins.tolist()))
            return np.full((len(origins), 2, 1), float(known))

        return predict

    return fit


def test_refits_know_the_rows_before_them_alone():
    values, seen = np.arange(100.0)[:, None], []
    result = walk_forward(values, recorder(seen), np.arange(60, 70), held=7, refit_every=4)
    assert seen == [
        (60, 7, 63, [60, 61, 62, 63]),
        (64, 7, 67, [64, 65, 66, 67]),
        (68, 7, 69, [68, 69]),
    ]
    assert result.fits == (60, 64, 68)
    assert result.predictions[:, 0, 0].tolist() == [60] * 4 + [64] * 4 + [68] * 2


def test_without_refits_one_model_serves_all_and_origins_may_be_apart():
    values, seen = np.arange(100.0)[:, None], []
    result = walk_forward(values, recorder(seen), np.array([50, 55, 80]))
    assert seen == [(50, 0, 80, [50, 55, 80])] and result.fits == (50,)
    turns = walk_forward(values, recorder([]), np.array([50, 55, 80]), refit_every=10)
    assert turns.fits == (50, 80)  # no fit for a turn without origins


def test_refitting_helps_where_the_series_changes():
    rng = np.random.default_rng(0)
    level = np.where(np.arange(400) < 200, 0.0, 10.0)[:, None]
    values = level + rng.normal(size=(400, 1))
    origins = np.arange(220, 398)
    truth = np.stack([values[o : o + 2] for o in origins])
    once, again = (
        walk_forward(values, baselines.mean(2), origins, refit_every=n).predictions for n in (0, 20)
    )
    assert ((again - truth) ** 2).mean() < 0.7 * ((once - truth) ** 2).mean()


def test_the_last_row_of_all_may_be_an_origin():
    values = np.arange(30.0)[:, None]
    result = walk_forward(values, baselines.last_value(3), np.array([30]))
    assert result.predictions.ravel().tolist() == [29, 29, 29]


@pytest.mark.parametrize("origins", [[], [5, 5], [7, 6], [0, 4], [31]])
def test_origins_that_make_no_sense_are_refused(origins):
    with pytest.raises(ValueError, match="increasing rows"):
        walk_forward(np.zeros((30, 1)), baselines.last_value(3), np.array(origins, int))
