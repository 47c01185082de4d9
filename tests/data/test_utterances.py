"""Batches of recordings, and strings of them: what lies where."""

import jax
import numpy as np
import pytest

from dljax.data import feed, utterances
from dljax.data.sources.sound import Recordings
from dljax.data.utterances import Joining
from tests.rnn import sounds


def numbered(lengths=(3, 5, 2, 4)) -> Recordings:
    """Recording i holds 100 i + 1, 100 i + 2, ..."""
    waves = tuple(np.arange(1, n + 1, dtype=np.int16) + 100 * i for i, n in enumerate(lengths))
    texts = tuple(f"t{i}" for i in range(len(lengths)))
    return Recordings(waves, texts, ("x", "y", "x", "y")[: len(lengths)], texts)


def test_assemble_by_hand():
    flat = utterances.flatten(numbered(), [[7], [8], [9], [5]])
    item = {
        "pieces": np.array([[2, 0, -1], [1, 3, 2]]),
        "pauses": np.array([[1, 2, 0, 3], [0, 0, 1, 0]]),
    }
    batch = jax.device_get(utterances.assemble(flat._asdict(), item, 14))
    first = [0, 201, 202, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0]
    second = [101, 102, 103, 104, 105, 301, 302, 303, 304, 0, 201, 202, 0, 0]
    np.testing.assert_array_equal(batch["sound"], [first, second])
    assert batch["samples"].tolist() == [11, 12] and batch["count"].tolist() == [2, 3]
    assert batch["tokens"].tolist() == [[9, 7, 0], [8, 5, 9]]
    assert utterances.string_samples(item, flat.samples).tolist() == [11, 12]
    cut = jax.device_get(utterances.assemble(flat._asdict(), item, 6))
    np.testing.assert_array_equal(cut["sound"], [first[:6], second[:6]])
    assert cut["samples"].tolist() == [6, 6]


@pytest.mark.parametrize("by_length", [False, True])
def test_training_shows_each_recording_once_an_epoch(by_length):
    recordings = sounds.tones(45)
    flat = sounds.flat(recordings)
    train = utterances.training(flat, 5, flat.longest(), by_length)
    items = train.chunk(3, 0, 18)["pieces"][..., 0]
    for epoch in items[:9], items[9:]:
        assert sorted(epoch.ravel()) == list(range(45))
    assert not np.array_equal(items[:9], items[9:])
    np.testing.assert_array_equal(train.chunk(3, 7, 4)["pieces"][..., 0], items[7:11])
    spread = np.ptp(flat.samples[items], axis=1).mean()
    assert (spread < 0.4 * np.ptp(flat.samples)) == by_length
    with pytest.raises(ValueError, match="between 1 and the 45 recordings"):
        utterances.training(flat, 46, 100)


def test_examples_are_the_recordings_in_order():
    recordings = numbered()
    flat = utterances.flatten(recordings, [[1], [2], [3], [1, 2]])
    found = utterances.examples(flat, 3, flat.longest(), multiple=3)
    batches = list(feed.batches(found))
    assert np.concatenate([x[feed.MASK] for x in batches]).tolist() == [1, 1, 1, 1, 0, 0]
    np.testing.assert_array_equal(batches[0]["sound"][1], recordings.waves[1])
    assert batches[1]["tokens"][0].tolist() == [1, 2] and batches[1]["count"][0] == 2


def test_strings_are_of_one_speaker_and_within_the_limit():
    speakers = ["x", "y"] * 10
    samples = np.full(20, 100)
    joining = Joining(2, 4, 0.1, 1000, limit=700)
    random = np.random.default_rng(0)
    sizes = set()
    for _ in range(30):
        item = utterances.draw_strings(random, speakers, joining, 6, samples)
        there = item["pieces"] >= 0
        assert len(set(there.sum(1))) == 1  # a batch's strings are of the same number of pieces
        sizes |= set(there.sum(1).tolist())
        for row in item["pieces"]:
            assert len({speakers[i] for i in row[row >= 0]}) == 1
        assert utterances.string_samples(item, samples).max() <= 700
    assert sizes == {2, 3, 4}
    with pytest.raises(ValueError, match="no string of [234] recordings fits"):
        utterances.draw_strings(random, speakers, joining._replace(limit=150), 1, samples)


def test_joined_training_is_a_function_of_seed_and_step():
    recordings = sounds.tones(30)
    flat = sounds.flat(recordings, first=1)
    train = utterances.joined_training(flat, recordings.speakers, sounds.joining(), 4, 1400)
    whole, part = train.chunk(1, 0, 6), train.chunk(1, 4, 2)
    for name in whole:
        np.testing.assert_array_equal(whole[name][4:], part[name])
    assert not np.array_equal(whole["pieces"], train.chunk(2, 0, 6)["pieces"])
    with pytest.raises(ValueError, match="each is one word"):
        utterances.joined_training(
            utterances.flatten(numbered(), [[1], [1, 2], [1], [1]]), "xyxy", sounds.joining(), 2, 9
        )


def test_rendered_strings_differ_in_noise_alone():
    recordings = sounds.tones(30)
    clean = utterances.render(recordings, sounds.joining(), 20, 5, None)
    noisy = utterances.render(recordings, sounds.joining(), 20, 5, (10.0, 10.0))
    assert clean.texts == noisy.texts and {len(text.split()) for text in clean.texts} == {1, 2, 3}
    power = [np.mean(x.astype(float) ** 2) for x in clean.waves]
    noise = [
        np.mean((a.astype(float) - b) ** 2) for a, b in zip(clean.waves, noisy.waves, strict=True)
    ]
    ratio = 10 * np.log10(np.array(power) / noise)
    np.testing.assert_allclose(ratio, 10, atol=1.5)
    assert abs(ratio.mean() - 10) < 0.3
