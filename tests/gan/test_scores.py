"""Scores of samples: against hand-made cases, scipy's matrix root and scikit-learn's neighbours."""

import numpy as np
import pytest

from dljax.gan import assessment, scores
from dljax.gan.scores import Features


@pytest.fixture(scope="module")
def clouds() -> tuple[np.ndarray, np.ndarray]:
    """Two correlated clouds of 300 and 250 points in 6 dimensions, partly apart."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6))
    return real, 0.7 * rng.normal(size=(250, 6)) @ rng.normal(size=(6, 6)) + 0.5


def frechet(real: np.ndarray, fake: np.ndarray) -> float:
    return scores.frechet(scores.moments(real), scores.moments(fake))


def test_frechet_distance_by_hand():
    """In one dimension it is the squared difference of means and of deviations."""
    x = np.array([[-1.0], [1.0]])  # mean 0, unbiased variance 2
    assert frechet(x, 3 * x + 4) == pytest.approx(4**2 + (3 * 2**0.5 - 2**0.5) ** 2)
    assert frechet(x, x) == pytest.approx(0, abs=1e-12)


def test_frechet_distance_against_scipy(clouds):
    linalg = pytest.importorskip("scipy.linalg")
    s, t = (np.cov(x, rowvar=False) for x in clouds)
    shift = np.square(clouds[0].mean(0) - clouds[1].mean(0)).sum()
    expected = shift + np.trace(s + t - 2 * linalg.sqrtm(s @ t).real)
    assert frechet(*clouds) == pytest.approx(expected, rel=1e-9)


def test_moments_of_parts_make_those_of_the_whole(clouds):
    whole, parts = scores.moments(clouds[0]), np.split(clouds[0], [7, 120])
    merged = scores.merge(scores.merge(*map(scores.moments, parts[:2])), scores.moments(parts[2]))
    for a, b in zip(whole, merged, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_allclose(whole.covariance(), np.cov(clouds[0], rowvar=False), atol=1e-12)


def test_kid_by_hand():
    """Two points each in one dimension, the kernel (x y + 1)^3."""
    real, fake = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    within_real, within_fake = (0 * 1 + 1) ** 3, (1 * 2 + 1) ** 3
    between = np.mean([1**3, 1**3, 2**3, 3**3])
    assert scores.kid(real, fake) == pytest.approx(within_real + within_fake - 2 * between)


def test_kid_of_one_distribution_is_zero_in_the_mean():
    rng = np.random.default_rng(1)
    same = [scores.kid(*rng.normal(size=(2, 60, 3)), block=20) for _ in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 200**0.5
    assert min(same) < 0  # unbiased: no square of something
    assert scores.kid(*(rng.normal(size=(2, 60, 3)) + [[[0]], [[1]]]), block=20) > max(same)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(scores, "BLOCK", 64)


def test_neighbours_against_scikit_learn(clouds, small_blocks):
    neighbours = pytest.importorskip("sklearn.neighbors")
    real, fake = clouds

    def reach(x, k):  # the point itself is the first neighbour
        return neighbours.NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, -1]

    found = scores.radii(real, 3, 5)
    np.testing.assert_allclose(found, [reach(real, 3), reach(real, 5)], rtol=1e-9)
    between = np.linalg.norm(fake[:, None] - real[None], axis=2)
    precision = (between <= reach(real, 3)).any(1).mean()
    recall = (between <= reach(fake, 3)[:, None]).any(0).mean()
    within = between <= reach(real, 5)
    expected = {
        "precision": precision,
        "recall": recall,
        "density": within.sum() / 5 / 250,
        "coverage": within.any(0).mean(),
    }
    assert scores.neighbour_scores(real, fake) == expected
    assert all(0.05 < value < 0.95 for value in expected.values())


def test_neighbours_by_hand():
    """Samples at the first of two clusters alone: all precise, half of the real ones recalled."""
    real = np.array([*range(6), *range(100, 106)], float)[:, None]
    fake = np.array([0.5, 1.5, 2.5, 4.9])[:, None]
    assert scores.neighbour_scores(real, fake) == {
        "precision": 1.0,
        "recall": 0.5,
        "density": 6 * 4 / (5 * 4),  # radii 5, 4, 3, 3, 4, 5 hold every sample
        "coverage": 0.5,
    }


def test_classes_by_hand():
    """Three classes: the real ones even, the samples in two of them and closer together."""
    logits = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    real = Features(np.array([0, 2, 10, 12, 20, 22.0])[:, None], logits)
    fake = Features(np.array([0, 1, 0.5, 10.0])[:, None], np.eye(3)[[0, 0, 0, 1]])
    found = scores.class_scores(real, fake)
    share = np.array([3.5, 1.5, 0.5]) / 5.5
    assert found == pytest.approx(
        {
            "diversity": (1 + 0.5 + 0.5) / 3 / 2,
            "modes": 2,
            "class_kl": (share * np.log(3 * share)).sum(),
            "class_deviation": 3 / 4 - 1 / 3,
        }
    )


def test_what_cannot_be_scored():
    with pytest.raises(ValueError, match="3-th neighbour needs more than 3 images, not 3"):
        scores.radii(np.zeros((3, 2)), 3)
    with pytest.raises(ValueError, match="not finite"):
        scores.score(Features(np.full((9, 2), np.nan)), Features(np.zeros((9, 2))))


def quarters(images: np.ndarray) -> Features:
    """The mean of each quarter of images [N, 4, 4, 1]; the brighter half is the class."""
    x = images.reshape(-1, 2, 2, 2, 2).mean((2, 4)).reshape(-1, 4)
    return Features(x, x.reshape(-1, 2, 2).sum(2))


@pytest.fixture(scope="module")
def halves() -> np.ndarray:
    """400 images, bright above or below."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (400, 4, 4, 1), np.uint8)
    images[::2, :2] += 120
    images[1::2, 2:] += 120
    return images


def test_bounds_hold_between_them_what_is_scored(halves):
    bounds = assessment.bounds(quarters, halves[:250], halves[250:], images=200, seed=3)
    assert bounds.images == 150  # as many as there are test images
    good = bounds.score(halves[50:200])
    assert good["fid"] < 0.2 * bounds.noise["fid"] and bounds.real["fid"] < bounds.noise["fid"]
    assert good["modes"] == bounds.real["modes"] == 2
    assert assessment.collapse(good, bounds.real) == ()
    lines = assessment.table(bounds, [good, good])
    assert len(lines) == 2 + len(good) and "150 images" in lines[-1] and "± 0" in lines[1]
    with pytest.raises(ValueError, match="150 samples are needed, not 20"):
        bounds.score(halves[:20])


def test_collapse_is_reported(halves):
    bounds = assessment.bounds(quarters, halves[:250], halves[250:])
    one = np.repeat(halves[:10:2], 30, 0)
    lines = assessment.collapse(bounds.score(one), bounds.real)
    assert any("1 classes, real images into 2" in line for line in lines)
    assert any("collapse: 0." in line and "sample near them" in line for line in lines)
    wrong = assessment.collapse(bounds.noise, bounds.real)
    assert any("failure" in line for line in wrong)


def test_noise_is_like_the_images_in_mean_and_deviation_alone(halves):
    made = assessment.noise(halves, 500)
    assert made.shape == (500, 4, 4, 1) and made.dtype == np.uint8
    assert abs(made.mean() - halves.mean()) < 3 and abs(made.std() - halves.std()) < 6
    assert abs(np.corrcoef(made[:, 0, 0, 0], made[:, 0, 1, 0])[0, 1]) < 0.15


@pytest.mark.parametrize(("real", "fake"), [(1000, 90), (90, 1000), (250, 150), (40, 30)])
def test_kid_of_unequal_counts_keeps_to_its_blocks(real, fake, monkeypatch):
    random, sizes = np.random.default_rng(0), []
    mmd = scores._mmd
    monkeypatch.setattr(scores, "_mmd", lambda x, y: sizes.append((len(x), len(y))) or mmd(x, y))
    x, y = random.normal(size=(real, 3)), random.normal(size=(fake, 3))
    value = scores.kid(x, y, block=100)
    assert abs(value) < 1 and np.max(sizes) <= 100
    assert len(sizes) == -(-min(real, fake) // 100)
    assert min(sum(x) for x in zip(*sizes, strict=True)) == min(real, fake)
