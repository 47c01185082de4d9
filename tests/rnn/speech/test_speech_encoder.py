"""The encoder: padding counts for nothing, a stream gives what the whole gives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.nn.recurrent.layers import LSTM
from dljax.nn.speech_encoder import SpeechClassifier, SpeechEncoder, SpeechTagger
from dljax.rnn.speech import ctc, streaming
from dljax.train.supervised import create_state
from tests.rnn import sounds
from tests.rnn.sounds import SMALL, SPECTRUM


def trained_like(model, *args):
    """Variables with BatchNorm statistics that are not those of the beginning."""
    variables = jax.jit(model.init)(jax.random.key(0), *args)
    random = np.random.default_rng(0)
    stats = jax.tree.map(
        lambda x: jnp.asarray(random.uniform(0.5, 2, x.shape), x.dtype), variables["batch_stats"]
    )
    return {**variables, "batch_stats": stats}


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("frames", [13, 16])
def test_padding_does_not_count(bidirectional, frames):
    encoder = SpeechEncoder(**SMALL, bidirectional=bidirectional, causal=not bidirectional)
    x = jax.random.normal(jax.random.key(1), (2, 32, 8))
    for model in (SpeechTagger(3, encoder), SpeechClassifier(3, encoder)):
        variables = trained_like(model, x, jnp.ones((2, 32), bool))
        apply = jax.jit(model.apply)
        alone = apply(variables, x[:, :frames], jnp.ones((2, frames), bool))
        padded = apply(variables, x, jnp.arange(32)[None] < jnp.full((2, 1), frames))
        if isinstance(alone, tuple):
            count = alone[1].shape[1]
            assert count == -(-frames // 4) == int(padded[2][0].sum())
            alone, padded = alone[1], padded[1][:, :count]
        np.testing.assert_allclose(alone, padded, atol=1e-5)


@pytest.mark.parametrize("strides, layer", [((2, 2), None), ((2, 1), LSTM), ((3, 2), None)])
@pytest.mark.parametrize("normalization", ["running", "fixed"])
def test_stream_equals_the_whole(strides, layer, normalization):
    settings = SMALL | {"strides": strides, "depth": 2} | ({"layer": layer} if layer else {})
    model = SpeechTagger(4, SpeechEncoder(**settings, bidirectional=False, causal=True))
    front = sounds.front(normalization)
    random = np.random.default_rng(0)
    variables = trained_like(model, jnp.zeros((1, 16, 8)), jnp.ones((1, 16), bool))
    state = create_state(variables, _nothing())
    logits_of = jax.jit(partial(ctc.predict_logits, model, state, front))
    for samples in (30, 1000, 1777):
        wave = random.normal(0, 2000, samples).astype(np.int16)
        logits, mask = logits_of(jnp.asarray(wave[None]), jnp.array([samples]))
        whole = jax.nn.log_softmax(logits)[0][: int(mask.sum())]
        for size in (37, 400):
            arriving = streaming.pieces(wave, size)
            parts = list(streaming.stream(model, variables, front, arriving, strides=3))
            np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)


def _nothing():
    import optax

    return optax.identity()


def test_what_knows_the_future_is_refused():
    model = sounds.tagger(bidirectional=False)
    with pytest.raises(ValueError, match="can't be streamed"):
        next(streaming.stream(model, {}, sounds.front("utterance"), []))


def test_causal_sees_no_future():
    model = sounds.tagger(bidirectional=False)
    x, mask = jax.random.normal(jax.random.key(1), (1, 32, 8)), jnp.ones((1, 32), bool)
    variables = trained_like(model, x, mask)
    apply = jax.jit(model.apply)
    before = apply(variables, x, mask)[1]
    after = apply(variables, x.at[:, 20:].set(5.0), mask)[1]
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert not np.allclose(before[:, 5:], after[:, 5:])
    assert SPECTRUM.mels == 8
