import numpy as np

from dljax.train.intervals import Interval, interval


def test_the_interval_of_a_mean():
    """Of 1, 2, 3: deviation 1, Student's quantile of two degrees of freedom 4.3027."""
    found = interval([1.0, 2.0, 3.0])
    np.testing.assert_allclose(found, (2, 2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), atol=1e-4)
    assert not found.is_gain() and not found.is_loss()
    assert interval([1.0, 1.1, 1.2]).is_gain() and interval([-1.0, -1.1, -1.2]).is_loss()
    assert interval([0.5]) == Interval(0.5, -np.inf, np.inf)
