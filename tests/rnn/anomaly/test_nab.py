"""NAB's score: by hand, against a slow one, against a published one; and its layout."""

import math

import numpy as np
import pytest

from dljax.data.anomaly_series import Labelled
from dljax.data.sources.nab import read_nab
from dljax.rnn.anomaly import nab
from dljax.rnn.anomaly.nab import PROFILES, Profile
from tests.rnn.corpora import START, wave, write_nab

STANDARD = PROFILES["standard"]


def blank(rows: int, windows, name: str = "a/b.csv") -> Labelled:
    time = START + np.arange(rows) * np.timedelta64(300, "s")
    return Labelled(name, time, np.zeros(rows), tuple(windows))


def marks(rows: int, at) -> np.ndarray:
    scores = np.zeros(rows)
    scores[list(at)] = 1.0
    return scores


def test_probation():
    assert [nab.probation(n) for n in (10, 100, 4032, 5000, 22695)] == [1, 15, 604, 750, 750]


def test_scaled_sigmoid_as_documented():
    y = np.array([-1, -0.5, 0, 1, 3.1])
    expected = [0.98661, 0.84828, 0, -0.98661, -1]
    np.testing.assert_allclose(nab.scaled_sigmoid(y), expected, atol=5e-6)


def test_weights_by_hand():
    def s(y):
        return 2 / (1 + math.exp(5 * y)) - 1

    found = nab.weights(12, [(3, 6)], Profile(0.5, 1.0, 2.0))
    expected = [-0.5] * 3  # before the first window: the full cost
    expected += [2 * s(-(6 - i + 1) / 4) / s(-1) for i in range(3, 7)]
    expected += [0.5 * s((i - 6) / 3) for i in range(7, 12)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found[3] == 2


def test_a_published_score():
    """NAB's own number for its windowed Gaussian on ec2_cpu_utilization_24ae8d.

    Windows and detected rows are those of that file; the number is in numenta/NAB,
    results/windowedGaussian/windowedGaussian_standard_scores.csv.
    """
    series = blank(4032, [(3447, 3647), (3677, 3877)])
    rows = [729, 1018, 1309, 1597, 1883, 2172, 2461, 2748, 3032, 3321, 3547, 3614, 3898]
    raw = nab.sweep(series, marks(4032, rows), STANDARD).at(1.0)
    assert raw == pytest.approx(-1.266678759349383, abs=1e-12)


def slow_sweep(series, scores, profile, threshold):
    """The raw score as the paper says it, one row after another."""
    worth = nab.weights(len(scores), series.windows, profile)
    start, total = nab.probation(len(scores)), 0.0
    inside = set()
    for first, last in series.windows:
        rows = range(max(first, start), last + 1)
        inside |= set(range(first, last + 1))
        if rows:
            hits = [worth[i] for i in rows if scores[i] >= threshold]
            total += hits[0] if hits else -profile.false_negative
    return total + sum(
        worth[i] for i in range(start, len(scores)) if i not in inside and scores[i] >= threshold
    )


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_sweep_against_a_slow_one(profile):
    rng = np.random.default_rng(0)
    series = blank(300, [(30, 60), (100, 131), (250, 299)])  # the first one begins in the probation
    scores = rng.integers(0, 40, 300) / 40  # with ties
    swept = nab.sweep(series, scores, profile)
    assert len(swept.thresholds) == 41
    for threshold in [*np.unique(scores), 0.987, 2.0]:
        slow = slow_sweep(series, scores, profile, threshold)
        assert swept.at(threshold) == pytest.approx(slow, abs=1e-9)
    best = max(slow_sweep(series, scores, profile, t) for t in swept.thresholds)
    assert swept.best()[1] == pytest.approx(best)


def test_nothing_found_is_0_and_everything_at_once_is_100():
    corpus = [blank(200, [(50, 69), (120, 139)]), blank(300, [(100, 129)]), blank(100, [])]
    for profile in PROFILES.values():
        nothing = [np.full(len(s.values), 0.5) for s in corpus]
        score, threshold = nab.score(corpus, nothing, profile)
        assert (score, threshold) == (0, math.inf)
        perfect = [marks(len(s.values), [w[0] for w in s.windows]) for s in corpus]
        assert nab.score(corpus, perfect, profile) == (pytest.approx(100), 1)
    late = [marks(len(s.values), [w[1] for w in s.windows]) for s in corpus]
    assert 50 < nab.score(corpus, late, STANDARD)[0] < 75


def test_a_profile_weighs_what_its_name_says():
    corpus = [blank(1000, [(500, 549), (900, 949)])]
    hasty = [marks(1000, [*range(200, 260, 20), 500])]  # three false, one missed
    low_fp, low_fn = (nab.score(corpus, hasty, PROFILES[f"reward_low_{n}_rate"])[0]
                      for n in ("FP", "FN"))  # fmt: skip
    assert low_fp == pytest.approx(100 * (1 - 1 - 0.66 + 2) / 4)
    assert low_fn == pytest.approx(100 * (1 - 2 - 0.33 + 4) / 6)


def test_one_threshold_for_all_and_one_chosen_on_the_others():
    corpus = [blank(100, [(50, 59)], f"a/{i}.csv") for i in range(3)]
    scores = [marks(100, [50]) * height for height in (0.9, 0.9, 0.2)]
    scores[0][20:40] = 0.3  # false ones, above the third series' true one
    assert nab.score(corpus, scores, STANDARD) == (pytest.approx(100 * 2 / 3), 0.9)
    # The first one gets 0.2, where it has 20 false ones; the second finds, the third misses.
    raw = (1 - 20 * 0.11) + 1 - 1
    assert nab.score_held_out(corpus, scores, STANDARD) == pytest.approx(100 * (raw + 3) / 6)


def test_scores_that_do_not_fit():
    with pytest.raises(ValueError, match="a/b.csv: scores must be 10 numbers, without NaN"):
        nab.sweep(blank(10, []), np.full(10, np.nan), STANDARD)


def test_the_layout_is_read(tmp_path):
    corpus = [wave(50, 1, windows=[(20, 24)]), wave(40, 2)]
    write_nab(tmp_path, corpus, others=("realTweets/other.csv",))
    found = read_nab(tmp_path)
    assert [s.name for s in found] == ["waves/1.csv", "waves/2.csv"]
    assert [s.windows for s in found] == [((20, 24),), ()]
    np.testing.assert_array_equal(found[0].values, corpus[0].values)
    np.testing.assert_array_equal(found[0].time, corpus[0].time)


def test_what_is_wrong_with_a_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no data/<group>/<name>.csv in"):
        read_nab(tmp_path)
    write_nab(tmp_path, [wave(30, 1)])
    extra = tmp_path / "data" / "waves" / "new.csv"
    extra.write_text("timestamp,value\n2024-01-01 00:00:00,1\n")
    with pytest.raises(ValueError, match=r"has no entry for waves/new.csv"):
        read_nab(tmp_path)
    extra.write_text("when,value\n2024-01-01 00:00:00,1\n")
    labels = tmp_path / "labels" / "combined_windows.json"
    labels.write_text('{"waves/1.csv": [], "waves/new.csv": []}')
    with pytest.raises(ValueError, match=r"new.csv must have columns timestamp and value"):
        read_nab(tmp_path)
    extra.write_text("timestamp,value\n2024-01-01 00:00:00,\n")
    with pytest.raises(ValueError, match="values that are missing or not finite"):
        read_nab(tmp_path)
    labels.unlink()
    with pytest.raises(FileNotFoundError, match=r"no labels/combined_windows.json"):
        read_nab(tmp_path)
