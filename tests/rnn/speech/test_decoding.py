"""CTC, decoding, language model, alignments, error rates: against enumeration and by hand."""

import itertools
import math
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.rnn.speech import ctc, decoding, error_rates, ngram
from dljax.rnn.speech.decoding import Decoding


def log_ps(frames: int, symbols: int = 3, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(0, 1.5, (frames, symbols))
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def written(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def by_enumeration(log_p: np.ndarray) -> dict[tuple[int, ...], float]:
    """The probability of each text: the sum over all paths that write it."""
    p, texts = np.exp(log_p), Counter()
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        texts[written(path)] += math.prod(p[t, s] for t, s in enumerate(path))
    return texts


def test_loss_is_the_sum_over_paths_and_leaves_out_what_has_none():
    log_p = np.stack([log_ps(5, seed=i) for i in range(3)])
    mask = np.arange(5) < np.array([[5], [3], [3]])
    tokens, count = np.array([[1, 1, 2], [2, 1, 0], [1, 1, 2]]), np.array([3, 2, 3])
    losses, possible = ctc.ctc_loss(
        jnp.asarray(log_p, jnp.float32), jnp.asarray(mask), jnp.asarray(tokens), jnp.asarray(count)
    )
    assert possible.tolist() == [True, True, False] and losses[2] == 0
    assert ctc.frames_needed(tokens, count).tolist() == [4, 2, 4]
    for i, frames in ((0, 5), (1, 3)):
        p = by_enumeration(log_p[i, :frames])[tuple(tokens[i, : count[i]].tolist())]
        np.testing.assert_allclose(losses[i], -math.log(p), rtol=1e-4)
    gradient = jax.grad(lambda x: ctc.ctc_loss(x, mask, tokens, count)[0].sum())(
        jnp.asarray(log_p, jnp.float32)
    )
    assert np.isfinite(gradient).all() and (gradient[2] == 0).all() and gradient[0].any()


def test_unknown_tokens():
    """Each counts as an edit; the loss is that of the known ones."""
    tokens = jnp.array([[ctc.UNKNOWN, 2, ctc.UNKNOWN, 1, 0], [3, 1, 0, 0, 0]])
    written, count = ctc.known(tokens, jnp.array([4, 2]))
    assert written.tolist() == [[2, 1, 0, 0, 0], [3, 1, 0, 0, 0]] and count.tolist() == [2, 2]
    logits = jax.nn.one_hot(jnp.array([[2, 0, 1], [3, 0, 1]]), 4)
    edits = ctc.greedy_edits(logits, jnp.ones((2, 3), bool), tokens, jnp.array([4, 2]))
    assert edits.tolist() == [2, 0]


def test_greedy_edits_equal_those_of_the_texts():
    random = np.random.default_rng(0)
    logits = random.normal(size=(12, 9, 4))
    mask = np.arange(9) < random.integers(3, 10, 12)[:, None]
    count = random.integers(0, 6, 12)
    tokens = random.integers(1, 4, (12, 6)) * (np.arange(6) < count[:, None])
    found = ctc.greedy_edits(*map(jnp.asarray, (logits, mask, tokens, count)))
    for i in range(12):
        text = decoding.greedy(logits[i][mask[i]])
        assert found[i] == error_rates.edits(tokens[i, : count[i]].tolist(), text)
    assert found.max() > 2


@pytest.mark.parametrize("seed", range(5))
def test_wide_beam_finds_the_most_probable_text(seed, monkeypatch):
    monkeypatch.setattr(decoding, "LEAST", -math.inf)
    log_p = log_ps(6, seed=seed)
    texts = by_enumeration(log_p)
    found = decoding.prefix_beam(log_p, Decoding(beam=1000))
    assert texts[found] == max(texts.values())


def test_beam_is_better_than_the_best_path():
    """Two blanks are the best path (0.36), but three paths write 1 (0.24 + 0.24 + 0.16)."""
    log_p = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert decoding.greedy(log_p) == ()
    assert decoding.prefix_beam(log_p, Decoding()) == (1,)


def test_language_model_decides(monkeypatch):
    monkeypatch.setattr(decoding, "LEAST", -math.inf)
    model = ngram.fit([(1, 2), (1, 2), (2, 2, 1)], 2, 3)
    log_p = log_ps(5, seed=3)
    for how in (Decoding(0.7, 0.4, 1000), Decoding(2.0, 0.0, 1000)):
        texts = by_enumeration(log_p)

        def score(text, texts=texts, how=how):
            past = [model.log_p(s, text[:i]) for i, s in enumerate((*text, ngram.END))]
            return math.log(texts[text]) + how.weight * sum(past) + how.bonus * len(text)

        assert decoding.prefix_beam(log_p, how, model) == max(texts, key=score)


def test_witten_bell_by_hand():
    """Texts '1 2' and '1': after 1 came 2 once and the end once."""
    model = ngram.fit([(1, 2), (1,)], 2, 3)
    one = {0: (2 + 3 / 3) / 8, 1: (2 + 3 / 3) / 8, 2: (1 + 3 / 3) / 8}  # 5 places, 3 kinds
    assert math.isclose(math.exp(model.log_p(2, (1,))), (1 + 2 * one[2]) / 4)
    assert math.isclose(math.exp(model.log_p(1, ())), (2 + 1 * one[1]) / 3)
    assert math.isclose(math.exp(model.log_p(1, (1,))), (0 + 2 * one[1]) / 4)
    for past in ((), (1,), (2,), (2, 1), (1, 1, 2)):
        assert math.isclose(sum(math.exp(model.log_p(s, past)) for s in range(3)), 1)
    total = -sum(model.log_p(*x) for x in ((1, ()), (2, (1,)), (0, (1, 2))))
    assert math.isclose(ngram.perplexity(model, [(1, 2)]), math.exp(total / 3))
    with pytest.raises(ValueError, match="order 1 or more"):
        ngram.fit([(1,)], 0, 2)


@pytest.mark.parametrize("tokens", [(1,), (1, 1), (1, 2, 1), (2, 2)])
def test_alignment_is_the_most_probable_path(tokens):
    log_p = log_ps(6, seed=7)
    paths = [x for x in itertools.product(range(3), repeat=6) if written(x) == tokens]
    best = max(paths, key=lambda path: sum(log_p[t, s] for t, s in enumerate(path)))
    spans, begin = [], 0
    for symbol, group in itertools.groupby(best):
        size = len(list(group))
        spans += [(begin, begin + size - 1)] if symbol else []
        begin += size
    assert decoding.alignment(log_p, tokens) == spans


def test_alignment_of_too_few_frames():
    assert decoding.alignment(log_ps(2), (1, 1)) is None
    assert decoding.alignment(log_ps(2), ()) == []


def test_error_rates_by_hand():
    references = ["one two three", "four", "five six"]
    found = ["one too three four", "", "five six"]
    rate = error_rates.word_error_rate(references, found)
    assert rate.value == 3 / 6 and rate.low < 0.5 < rate.high
    assert error_rates.character_error_rate(["ab c"], ["abc"]).value == 1 / 4
    pairs = [("one", "one"), ("two", "too"), ("three", "three"), ("", "four")]
    assert error_rates.align(references[0].split(), found[0].split()) == pairs
    counts = error_rates.confusions([x.split() for x in references], [x.split() for x in found])
    assert counts[("four", "")] == 1 and counts[("five", "five")] == 1 and len(counts) == 7
    with pytest.raises(ValueError, match="no reference has a token"):
        error_rates.word_error_rate([""], ["one"])


def test_error_rates_equal_those_of_jiwer():
    jiwer = pytest.importorskip("jiwer", reason="requirements-dev.txt installs it")
    random = np.random.default_rng(0)
    words = np.array(["a", "bb", "abc", "cab", "b"])
    references = [" ".join(random.choice(words, random.integers(1, 8))) for _ in range(30)]
    found = [" ".join(random.choice(words, random.integers(1, 8))) for _ in range(30)]
    assert math.isclose(
        error_rates.word_error_rate(references, found).value, jiwer.wer(references, found)
    )
    assert math.isclose(
        error_rates.character_error_rate(references, found).value, jiwer.cer(references, found)
    )


def test_bootstrap_covers_the_rate_as_often_as_it_says():
    """Utterances of 5 words, each wrong with probability 0.2; 200 intervals, most of them right."""
    random, covered = np.random.default_rng(0), 0
    for _ in range(200):
        wrong = random.random((40, 5)) < 0.2
        rate = error_rates.rate([[1] * 5] * 40, [[2 if x else 1 for x in row] for row in wrong])
        covered += rate.low <= 0.2 <= rate.high
    assert 0.88 <= covered / 200 <= 0.99
