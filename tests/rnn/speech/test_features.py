"""Spectrograms against librosa's and against a definition in numpy; normalisation; augmentation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.rnn.speech import augmentation, features
from dljax.rnn.speech import front as fronts
from dljax.rnn.speech.features import FrontEnd, Statistics
from tests.rnn import sounds

# librosa 0.11.0: log(melspectrogram(y, sr=8000, n_fft=256, hop_length=80, center=False, n_mels=10,
# fmin=40, htk=..., norm=None or "slaney") + 1e-6), frames 0, 6 and 11 of `chirp`.
LIBROSA = {
    "htk": [
        [-2.9301, 0.7546, 1.155, -1.7409, -10.4341, -13.764, -13.8132, -13.8153, -2.6852,
         -2.4605],
        [-13.8152, -13.8138, -13.8, -13.0876, -2.5498, 1.4063, 0.3152, -10.4392, -2.6852,
         -2.4605],
        [-13.8155, -13.8155, -13.8155, -13.8154, -13.8143, -13.7515, -2.6013, 1.5197, -0.0485,
         -2.4605],
    ],
    "slaney": [
        [-5.5264, -3.9739, -5.6243, -11.9569, -13.8124, -13.8154, -13.8155, -13.8155, -9.2336,
         -8.8597],
        [-13.8155, -13.8155, -13.8151, -13.7588, -7.0853, -4.2564, -5.7759, -13.7148, -9.2336,
         -8.8597],
        [-13.8155, -13.8155, -13.8155, -13.8155, -13.8155, -13.8153, -9.9273, -4.7004,
         -5.9822, -8.8597],
    ],
}  # fmt: skip


def chirp() -> np.ndarray:
    t = np.arange(1200) / 8000
    x = 0.03 * np.sin(2 * np.pi * (200 * t + 8000 * t**2)) + 0.005 * np.cos(2 * np.pi * 3000 * t)
    return x.astype(np.float32) * 32768


@pytest.mark.parametrize("scale", LIBROSA)
def test_equals_librosa(scale):
    front = FrontEnd(8000, 256, 80, 256, 10, 40.0, 4000.0, scale)
    found = features.log_mel(jnp.asarray(chirp()[None]), front)[0]
    assert found.shape == (12, 10)
    np.testing.assert_allclose(found[np.array([0, 6, 11])], LIBROSA[scale], atol=1e-4)


def test_a_window_shorter_than_the_transform():
    """By the definition: a sum over samples for each frequency, a triangle for each filter."""
    front = features.front_end(8000, mels=12)
    sound = chirp()[:600]
    n, k = np.arange(200), np.arange(129)[:, None]
    hann = np.sin(np.pi * n / 200) ** 2
    mel = 2595 * np.log10(1 + np.array([40, 4000]) / 700)
    edges = 700 * (10 ** (np.linspace(*mel, 14) / 2595) - 1)
    expected = []
    for begin in range(0, 401, 80):
        x = sound[begin : begin + 200] / 32768 * hann
        power = np.abs((x * np.exp(-2j * np.pi * k * n / 256)).sum(1)) ** 2
        row = []
        for a, b, c in zip(edges, edges[1:], edges[2:], strict=False):
            weight = np.interp(np.arange(129) * 31.25, [a, b, c], [0, 1, 0], left=0, right=0)
            row.append(np.log(weight @ power + 1e-6))
        expected.append(row)
    found = features.log_mel(jnp.asarray(sound[None]), front)[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert front.frames(np.array([0, 199, 200, 279, 280])).tolist() == [1, 1, 1, 1, 2]
    assert front.samples(2) == 280


def test_filters_that_are_too_narrow_are_refused():
    with pytest.raises(ValueError, match="100 filters are too many for 65 frequencies"):
        features.mel_filters(features.front_end(4000, mels=100))
    with pytest.raises(ValueError, match="lower --mels or --lowest"):
        features.mel_filters(features.front_end(8000, low=3700))
    with pytest.raises(ValueError, match="lower --lowest"):
        features.front_end(8000, low=5000)
    for rate in (39, 50, 999):
        with pytest.raises(ValueError, match=f"{rate} Hz are too coarse .* --rate of 1000"):
            features.front_end(rate)
    assert features.mel_filters(features.front_end(1000, mels=8)).shape == (17, 8)


def test_normalisations():
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(3, 2, (2, 30, 4)), jnp.float32)
    mask = jnp.arange(30) < jnp.array([[30], [20]])
    y = np.asarray(features.normalize_utterance(x, mask))
    assert np.abs(y[0].mean(0)).max() < 1e-5 and np.abs(y[1, :20].std(0) - 1).max() < 0.02
    assert (y[1, 20:] == 0).all()
    known = Statistics(np.full(4, 3, np.float32), np.full(4, 2, np.float32))
    fixed = features.normalize_fixed(x, mask, known)
    np.testing.assert_allclose(fixed[0], (x[0] - 3) / 2.01, atol=1e-5)
    past, running = features.normalize_running(x, mask, features.no_past(2, known, weight=5))
    five = np.array([1, 5, 3, 3, 3])[:, None] * np.ones(4)  # mean 3, deviation 1.26
    five = 3 + (five - 3) * 2 / five.std()
    seen = np.concatenate([five, x[1, :7]])
    expected = (x[1, 6] - seen.mean(0)) / (seen.std(0) + 0.01)
    np.testing.assert_allclose(running[1, 6], expected, atol=1e-4)
    assert past.count[:, 0].tolist() == [35, 25]


def test_level_is_that_of_the_mean_power_and_weak_parts_are_cut():
    power = np.array([[[4.0, 1.0], [1.0, 2.0], [9.0, 9.0]]], np.float32)  # the last is padding
    mask = jnp.array([[True, True, False]])
    half = features.RANGE / 2
    want = (np.log(power[0, :2] / 2.0) + half) / (half / 2)
    for gain in (1.0, 1e3):
        y = features.normalize_level(jnp.log(gain * power), mask)
        np.testing.assert_allclose(y[0, :2], want, atol=1e-5)
        np.testing.assert_array_equal(y[0, 2], 0)
    # Noise far below the word changes nothing.
    quiet = jnp.asarray(np.where(power == 1, 1e-6, power))
    noisy = jnp.asarray(np.where(power == 1, 1e-4, power))
    both = [features.normalize_level(jnp.log(p), mask) for p in (quiet, noisy)]
    np.testing.assert_allclose(*both, atol=1e-3)
    assert both[0].min() == -2


def test_running_normalisation_goes_on_where_it_stopped():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 30, 4)), jnp.float32)
    known = Statistics(np.zeros(4, np.float32), np.ones(4, np.float32))
    mask = jnp.ones((1, 30), bool)
    _, whole = features.normalize_running(x, mask, features.no_past(1, known))
    past, first = features.normalize_running(x[:, :13], mask[:, :13], features.no_past(1, known))
    _, second = features.normalize_running(x[:, 13:], mask[:, 13:], past)
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, atol=1e-5)


def test_speed_shifts_pitch_and_length():
    t = np.arange(1600) / 8000
    sound = jnp.asarray(1000 * np.sin(2 * np.pi * 400 * t)[None], jnp.float32)
    key, samples = jax.random.key(0), jnp.array([1600])
    fast, count = augmentation.speed_perturbation(key, sound, samples, 1.25, 1.25)
    assert int(count[0]) == 1280 and (np.asarray(fast)[0, 1280:] == 0).all()
    expected = 1000 * np.sin(2 * np.pi * 500 * t[:1280])
    np.testing.assert_allclose(fast[0, 2:1270], expected[2:1270], atol=10)
    same, count = augmentation.speed_perturbation(key, sound, samples, 1.0, 1.0)
    np.testing.assert_allclose(same, sound, atol=1e-2)
    slow, _ = augmentation.speed_perturbation(key, sound, samples, 0.8, 1.2)
    assert slow.shape == (1, 2000)


@pytest.mark.parametrize("ratio", [0.0, 20.0])
def test_noise_has_its_ratio(ratio):
    random = np.random.default_rng(0)
    sound = jnp.asarray(random.normal(0, 500, (8, 8000)), jnp.float32)
    samples = jnp.full(8, 6000)
    noisy = augmentation.add_noise(jax.random.key(1), sound, samples, ratio, ratio)
    noise = np.asarray(noisy - sound)
    assert (noise[:, 6000:] == 0).all()
    power = (np.asarray(sound[:, :6000]) ** 2).mean(1) / (noise[:, :6000] ** 2).mean(1)
    np.testing.assert_allclose(10 * np.log10(power), ratio, atol=0.3)


def test_spec_augment_hides_bands_and_stretches():
    x, mask = jnp.ones((64, 50, 20)), jnp.arange(50) < jnp.full((64, 1), 40)
    y = np.asarray(augmentation.spec_augment(jax.random.key(0), x, mask, frequency=4, time=30))
    hidden = (y[:, :40] == 0).all(1).sum(1)  # filters that are hidden throughout
    silent = (y[:, :40] == 0).all(2).sum(1)
    assert hidden.max() <= 8 and hidden.min() < 2 < hidden.max()
    assert 8 < silent.max() <= 16  # each no longer than a fifth of the recording
    rest = np.asarray(y[:, :40]).any(2)[..., None] & np.asarray(y[:, :40]).any(1)[:, None]
    assert (y[:, :40][rest] == 1).all()


def test_statistics_are_those_of_all_frames():
    recordings = sounds.tones(6)
    found = fronts.statistics(sounds.SPECTRUM, recordings.waves)
    rows = [features.log_mel(jnp.asarray(x[None]), sounds.SPECTRUM)[0] for x in recordings.waves]
    np.testing.assert_allclose(found.mean, np.concatenate(rows).mean(0), atol=1e-3)
    np.testing.assert_allclose(found.std, np.concatenate(rows).std(0), atol=1e-3)
