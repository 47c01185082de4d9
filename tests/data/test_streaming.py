"""Streams are pure functions of (seed, step) and cover every epoch."""

import numpy as np
import pytest

from dljax.data.streaming import order, stream


class Squares:
    """Example i is {'x': [i, i^2], 'label': i}."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return {"x": np.array([index, index**2], np.float32), "label": np.int32(index)}


@pytest.mark.parametrize(("length", "batch_size"), [(10, 4), (3, 8), (1, 2), (12, 4)])
def test_each_epoch_has_every_example_once_across_batches(length, batch_size):
    with stream(Squares(length), batch_size) as data:
        labels = np.concatenate([data.batch_at(7, step)["label"] for step in range(3 * length)])
    epochs = labels.reshape(-1, length)
    assert len(epochs) == 3 * batch_size
    assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
    if length == 10:
        assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_a_batch_depends_on_seed_and_step_alone():
    with stream(Squares(50), 8, threads=4) as data, stream(Squares(50), 8, threads=1) as other:
        there = [data.batch_at(1, step) for step in range(10)]
        for step in (9, 3, 6):
            again = other.batch_at(1, step)
            assert np.array_equal(again["x"], there[step]["x"])
            assert np.array_equal(again["x"][:, 0], again["label"])
        assert not np.array_equal(data.batch_at(2, 3)["label"], there[3]["label"])


def test_a_chunk_is_its_batches():
    with stream(Squares(11), 4) as data:
        chunk = data.chunk(0, 5, 3)
        assert chunk["x"].shape == (3, 4, 2) and chunk["label"].shape == (3, 4)
        for offset in range(3):
            assert np.array_equal(chunk["x"][offset], data.batch_at(0, 5 + offset)["x"])


class Recorded(Squares):
    """Remembers which examples were read."""

    def __init__(self, length):
        super().__init__(length)
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return super().__getitem__(index)


def test_rows_of_a_chunk_are_read_alone():
    source = Recorded(11)
    with stream(source, 4) as data:
        whole, source.read = data.chunk(0, 5, 3), []
        parts = [data.chunk(0, 5, 3, rows) for rows in (slice(0, 1), slice(1, 4))]
    assert len(source.read) == 12
    for name, x in whole.items():
        assert np.array_equal(np.concatenate([part[name] for part in parts], axis=1), x)


@pytest.mark.parametrize(("length", "read"), [(10, 10), (8, 8), (1, 2)])  # 1: one to fill up with
def test_rows_of_an_evaluation_are_read_alone(length, read):
    source = Recorded(length)
    with stream(source, 4) as data:
        whole, source.read = [*data.evaluation_batches()], []
        parts = [[*data.evaluation_batches(rows)] for rows in (slice(0, 2), slice(2, 4))]
    assert len(source.read) == read
    for (batch, mask), *found in zip(whole, *parts, strict=True):
        assert np.array_equal(np.concatenate([m for _, m in found]), mask)
        labels = np.concatenate([part["label"] for part, _ in found])
        assert np.array_equal(labels[mask == 1], batch["label"][mask == 1])


def test_the_order_of_a_large_source_needs_no_permutation():
    with stream(Squares(10**9), 4) as data:
        far = data.batch_at(0, 10**9)["label"]
    assert len(set(far.tolist())) == 4 and (far >= 0).all() and (far < 10**9).all()


def test_positions_are_shuffled_evenly():
    orders = np.array([order(seed, range(100), 100) for seed in range(200)])
    means = orders.mean(0)  # of each position: 49.5 with a standard error of 2
    assert abs(means - 49.5).max() < 9
    assert abs(np.mean(orders[:, 1:] == orders[:, :-1] + 1) - 0.01) < 0.01


def test_evaluation_covers_every_example_once():
    with stream(Squares(10), 4) as data:
        batches, masks = zip(*data.evaluation_batches(), strict=True)
    assert [batch["x"].shape for batch in batches] == [(4, 2)] * 3
    masks = np.concatenate(masks)
    labels = np.concatenate([batch["label"] for batch in batches])
    assert masks.dtype == np.float32 and masks.sum() == 10
    assert labels[masks == 1].tolist() == list(range(10))


def test_transform_is_applied_to_each_example():
    with stream(Squares(5), 5, lambda example: {"y": example["x"].sum()}) as data:
        assert sorted(data.batch_at(0, 0)["y"]) == [0, 2, 6, 12, 20]


def test_unusable_sources_are_refused():
    with pytest.raises(ValueError, match="no examples"):
        stream(Squares(0), 4)
    with pytest.raises(ValueError, match="batch size"):
        stream(Squares(3), 0)


def test_a_source_that_reads_several_at_once_is_asked_to():
    class Batched(Squares):
        def __getitem__(self, index):
            raise AssertionError("asked one by one")

        def __getitems__(self, indices):
            return [Squares.__getitem__(self, index) for index in indices]

    with stream(Batched(20), 6, threads=3) as data, stream(Squares(20), 6) as single:
        assert np.array_equal(data.batch_at(0, 4)["x"], single.batch_at(0, 4)["x"])
