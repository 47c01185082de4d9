"""Noise that is correlated over time, against its formulas."""

import jax
import numpy as np
import scipy

from dljax.rl import colored_noise


def drawn(rates: tuple[float, ...], steps: int, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise [steps, runs, 2] in two stretches, and the white noise of its steps."""
    first, later = jax.random.split(jax.random.key(3))
    last = jax.random.normal(first, (runs, len(rates), 2))
    white = jax.random.normal(later, (steps, runs, len(rates), 2))
    last, a = colored_noise.noise(rates, last, white[:7])
    _, b = colored_noise.noise(rates, last, white[7:])
    return np.concatenate([a, b]), np.asarray(white)


def test_white_noise_is_passed_on():
    found, white = drawn(colored_noise.RATES["white"], 12, 3)
    np.testing.assert_array_equal(found, white[..., 0, :])


def test_pink_noise_is_the_sum_of_its_processes():
    """SciPy's filter computes the same recurrence; standard normal, and correlated as derived."""
    rates = colored_noise.RATES["pink"]
    found, white = drawn(rates, 64, 4000)
    last = np.asarray(jax.random.normal(jax.random.split(jax.random.key(3))[0], (4000, 3, 2)))
    parts = [
        scipy.signal.lfilter(
            [np.sqrt(1 - (1 - r) ** 2)], [1, r - 1], white[:, :, k], axis=0,
            zi=((1 - r) * last[:, k])[None],
        )[0]
        for k, r in enumerate(rates)
    ]  # fmt: skip
    np.testing.assert_allclose(found, sum(parts) / np.sqrt(3), atol=1e-5)
    for lag in (0, 1, 16, 63):
        expected = np.mean([(1 - r) ** lag for r in rates])
        got = (found[0] * found[lag]).mean()
        assert abs(got - expected) < 5 * np.sqrt(2 / 8000), lag  # five standard errors


def test_its_power_falls_as_one_over_the_frequency():
    grid = 2 * np.pi / 2.0 ** np.arange(3, 8)  # of periods of 8 to 128 steps
    power = 0
    for r in colored_noise.RATES["pink"]:
        a = 1 - r
        power = power + (1 - a**2) / (1 - 2 * a * np.cos(grid) + a**2)
    slope = np.polyfit(np.log(grid), np.log(power), 1)[0]
    assert -1.2 < slope < -0.8
