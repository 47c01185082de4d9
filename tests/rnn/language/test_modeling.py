"""The state is carried over steps, never over the border of a stream; scores are those of one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dljax.data import text as text_data
from dljax.data import tokens
from dljax.data.feed import MASK
from dljax.rnn.language import inspection, modeling, sampling, scoring
from dljax.train import export, loop
from tests.helpers import SEEDS, assert_close, devices, most, run_steps
from tests.rnn import texts


def batch_of(feed, step):
    return feed.batch(feed.arrays, jax.tree.map(lambda x: x[0], feed.chunk(0, step, 1)))


def test_the_state_is_carried_and_reset():
    """After two steps the carries are those of reading both parts; a reset row has read the last.

    With a learning rate of 0 the parameters stay.
    """
    model, ids = texts.lstm(), texts.ids()
    task = modeling.task(model, optax.sgd(0.0), texts.TOKENS, 4, 6)
    feed = text_data.feed(ids, 4, 6)
    key = jax.random.key(0)
    state = task.init(key)
    first, second = batch_of(feed, 0), batch_of(feed, 1)
    second["reset"] = jnp.array([False, True, False, True])
    variables = state.variables()
    for batch in (first, second):
        state, _ = jax.jit(task.step)(state, batch, key)
    joined = jnp.concatenate([first["tokens"][:, :-1], second["tokens"][:, :-1]], axis=1)
    both, _ = model.apply(variables, joined)
    alone, _ = model.apply(variables, second["tokens"][:, :-1])
    for carried, a, b in zip(*map(jax.tree.leaves, (state.carries, both, alone)), strict=True):
        np.testing.assert_allclose(carried[0::2], a[0::2], atol=1e-6)
        np.testing.assert_allclose(carried[1::2], b[1::2], atol=1e-6)
        assert np.abs(a - b).max() > 1e-3


def test_streams_score_as_one_long_stream():
    """Of one stream, the sums are those of the whole text at once; of several, nearly."""
    model, ids = texts.lstm(), texts.ids(texts.TEXT[:700])
    task = texts.task(model)
    state = task.init(jax.random.key(0))
    _, logits = model.apply(state.variables(), ids[None, :-1])
    logp = jax.nn.log_softmax(logits[0])[np.arange(len(ids) - 1), ids[1:]]
    for count, tolerance in ((1, 1e-5), (4, 1e-3)):
        arrays = text_data.streams(ids, count, modeling.CHUNK, warm_up=64)
        batch = {**arrays, MASK: np.ones(len(arrays["tokens"]), np.float32)}
        sums = jax.jit(task.evaluate)(state, batch, jax.random.key(0))
        nats, characters = sums["nats"]
        assert characters == 700 and sums["nats_per_byte"][1] == 700
        assert float(nats) == pytest.approx(-float(logp.sum()), rel=tolerance)


def test_nats_of_several_tokenisations_are_per_character():
    """A model that knows nothing costs log V a token; a token of n characters counts as n."""
    pytest.importorskip("tokenizers", reason="requirements-dev.txt installs it")
    bpe = tokens.bpe(texts.TEXT, 280)
    ids = text_data.encoded(bpe, (texts.TEXT,))
    model = texts.lstm().clone(vocabulary=len(bpe.names))
    task = modeling.task(model, optax.sgd(0.0), bpe, 4, 6)
    state = task.init(jax.random.key(0))
    state = jax.tree.map(jnp.zeros_like, state)
    arrays = text_data.streams(ids, 2, modeling.CHUNK)
    sums = task.evaluate(state, {**arrays, MASK: np.ones(2)}, jax.random.key(0))
    nats, characters = sums["nats"]
    assert characters == len(texts.TEXT) and sums["loss"][1] == len(ids) - 1 < characters
    assert float(nats) == pytest.approx((len(ids) - 1) * np.log(len(bpe.names)), rel=1e-5)
    found = modeling.summarise({"nats": (np.array([np.log(4) * 10]), np.array([10.0]))})
    assert found["bits"][0] == pytest.approx(2) and found["perplexity"][0] == pytest.approx(4)


@pytest.fixture(scope="module")
def trained():
    """The LSTM after 300 steps on a text that repeats, SEEDS of them."""
    task = texts.task()
    feed = text_data.feed(texts.ids(), texts.BATCH, texts.LENGTH)
    run, _ = run_steps(task, feed, devices(1), SEEDS, [150, 150])
    return run


def test_it_learns_a_text_that_repeats(trained):
    ids = texts.ids(texts.TEXT[:480])
    examples = text_data.examples(ids, 2, modeling.CHUNK)
    sums = loop.evaluate(texts.task(), trained, examples, devices(1))
    assert most(modeling.summarise(sums)["nats"] < 0.3)


def test_it_continues_the_text(trained):
    right = []
    for i in range(len(SEEDS)):
        variables = jax.tree.map(lambda x, i=i: x[i], trained.states).variables()
        pieces = sampling.stream(
            texts.lstm(), variables, texts.TOKENS, texts.TEXT[:70], 20, jax.random.key(0),
            temperature=0.0,
        )  # fmt: skip
        right.append("".join(pieces) == texts.TEXT[70:90])
    assert most(np.array(right))


def test_scores_by_character_and_line(trained):
    """A strange word costs more, in its own line; parts and the whole have the same nats."""
    variables = jax.tree.map(lambda x: x[0], trained.states).variables()
    text = texts.TEXT[:96].replace("dog", "gto", 1)
    nats = scoring.by_character(texts.lstm(), variables, texts.TOKENS, text)
    ids = texts.ids(text)
    _, logits = texts.lstm().apply(variables, ids[None, :-1])
    expected = -jax.nn.log_softmax(logits[0])[np.arange(len(ids) - 1), ids[1:]]
    np.testing.assert_allclose(nats, expected, atol=1e-5)
    rows = scoring.lines(text, nats)
    assert [row.number for row in rows] == [1, 2] and rows[0].nats > 2 * rows[1].nats
    assert sum(row.nats for row in rows) == pytest.approx(float(nats.sum()), rel=1e-6)
    assert rows[0].characters == 48 and rows[0].text == text.split("\n")[0]
    assert scoring.unknown(texts.TOKENS, "thé cat!") == {"é", "!"}
    assert scoring.listed({"é"}) == "'é' U+00E9"


def test_nats_of_a_token_are_spread_over_its_bytes():
    pytest.importorskip("tokenizers", reason="requirements-dev.txt installs it")
    text = "naïve café naïve café" * 5
    for kind in (tokens.bpe(text, 280), tokens.byte_values()):
        model = texts.lstm().clone(vocabulary=len(kind.names))
        variables = jax.tree.map(
            jnp.zeros_like, model.init(jax.random.key(0), jnp.zeros((1, 1), int))
        )
        nats = scoring.by_character(model, variables, kind, text)
        assert nats.shape == (len(text),)
        total = len(kind.encode(text)) * np.log(len(kind.names))
        assert nats.sum() == pytest.approx(total, rel=1e-5)
    assert nats[2] == pytest.approx(2 * np.log(257), rel=1e-5)  # ï has two bytes


def test_the_exported_step_reads_on(trained, tmp_path):
    """Token by token, with the state passed on, the file's logits are the network's."""
    variables = jax.tree.map(lambda x: x[0], trained.states).variables()
    path = tmp_path / "model.zip"
    export.write(path, scoring.serving(texts.lstm(), variables, texts.TOKENS), ["cpu"])
    model, ids = export.load(path), texts.ids(texts.TEXT[:30])
    _, whole = texts.lstm().apply(variables, ids[None])
    state = {name: np.zeros((1, *x.shape), x.dtype) for name, x in model.inputs.items()}
    for token, expected in zip(ids, whole[0], strict=True):
        out = model(**{**state, "token": np.array([token])})
        np.testing.assert_allclose(out["logits"][0], expected, atol=1e-5)
        state = {name: out[f"next_{name}"] for name in state if name != "token"}
    assert model.manifest["tokens"]["kind"] == "characters"


def test_the_filter_by_hand():
    logits = jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05]))
    for settings, kept in [
        ((1.0, 0, 1.0), 4),
        ((1.0, 2, 1.0), 2),
        ((1.0, 0, 0.5), 1),
        ((1.0, 0, 0.51), 2),
        ((1.0, 0, 0.81), 3),
        ((1.0, 3, 0.1), 1),
    ]:
        found = sampling.filtered(logits, *settings)
        np.testing.assert_array_equal(np.isfinite(found), np.arange(4) < kept)
    sharp = jax.nn.softmax(sampling.filtered(logits, 0.5, 0, 1.0))
    np.testing.assert_allclose(sharp, np.array([25, 9, 2.25, 0.25]) / 36.5, rtol=1e-5)


def test_borders_and_unknown_characters_are_never_drawn():
    model = texts.lstm()
    variables = model.init(jax.random.key(0), jnp.zeros((1, 1), int))
    drawn = sampling.draw_sample(model, variables, texts.TOKENS, sampling.Sample(300, 5.0))
    assert int(drawn.min()) == 2 and len(np.unique(drawn)) > 10


def test_units_that_follow_the_text():
    """A state that holds a property itself is found, with a correlation of 1."""
    text = 'He said: "no (not now)".\nThen he went.\n' * 20
    found = {name: measure(text) for name, measure in inspection.PROPERTIES.items()}
    assert found["inside quotes"][text.index("said")] == 0
    assert found["inside quotes"][text.index("no")] == 1
    assert found["inside brackets"].sum() == 20 * len("(not now")
    assert found["position in the line"][text.index("\n") + 3] == 3
    assert found["capital letter"].sum() == 40 and found["line end"].sum() == 40
    x = np.stack([-2 * found["inside quotes"] + 1, np.zeros(len(text))], axis=1)
    np.testing.assert_allclose(inspection.correlations(x, found["inside quotes"]), [-1, 0])


def test_states_are_those_of_the_carries(trained):
    variables = jax.tree.map(lambda x: x[0], trained.states).variables()
    model, text = texts.lstm(), texts.TEXT[:50]
    found = inspection.states(model, variables, texts.TOKENS, text)
    carries, _ = model.apply(variables, texts.ids(text)[None])
    last = np.concatenate([x[0] for x in jax.tree.leaves(carries)])
    assert found.shape == (50, 24)
    np.testing.assert_allclose(found[-1], last, atol=1e-5)
    units = inspection.follow(model, variables, texts.TOKENS, texts.TEXT[:400])
    assert {unit.property for unit in units} >= {"position in the line", "line end"}
    assert all(abs(unit.correlation) <= 1 for unit in units)


def test_the_sample_of_an_evaluation():
    task = texts.task(sample=sampling.Sample(9, 1.0))
    state = task.init(jax.random.key(0))
    batch = {**texts.one_each(2), MASK: np.ones(2)}
    drawn, count = task.evaluate(state, batch, jax.random.key(0))["sample"]
    assert drawn.shape == count.shape == (9,) and (drawn == jnp.round(drawn)).all()
    again = task.evaluate(state, batch, jax.random.key(1))["sample"]
    assert_close(again, (drawn, count), 0)
