"""Batches are a pure function of (seed, step), and evaluation sees every example once."""

import numpy as np
import pytest

from dljax.data import feed

N = 10


def numbers(n: int = N) -> dict[str, np.ndarray]:
    return {"x": np.arange(n, dtype=np.float32) * 10, "label": np.arange(n, dtype=np.int32)}


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10])
def test_each_example_once_an_epoch(batch_size):
    data = feed.in_memory(numbers(), batch_size)
    steps = (
        3 * N
    )  # so many batches are `batch_size` times 3 epochs: they also run over epochs' ends
    order = data.chunk(7, 0, steps).ravel()
    for epoch in order.reshape(-1, N):
        assert sorted(epoch) == list(range(N))
    assert not np.array_equal(order[:N], order[N : 2 * N])


def test_a_chunk_starts_anywhere():
    data = feed.in_memory(numbers(), 4)
    whole = data.chunk(3, 0, 20)
    assert whole.shape == (20, 4) and whole.dtype == np.int32
    for step, k in [(0, 1), (7, 5), (19, 1), (2, 18)]:
        np.testing.assert_array_equal(data.chunk(3, step, k), whole[step : step + k])


def test_order_depends_on_the_seed_alone():
    np.testing.assert_array_equal(
        feed.in_memory(numbers(), 4).chunk(3, 5, 6), feed.in_memory(numbers(), 4).chunk(3, 5, 6)
    )
    data = feed.in_memory(numbers(), 4)
    assert not np.array_equal(data.chunk(3, 0, 5), data.chunk(4, 0, 5))


def test_a_batch_holds_rows_of_all_arrays():
    data = feed.in_memory(numbers(), 4)
    batch = data.batch(data.arrays, data.chunk(0, 0, 1)[0])
    np.testing.assert_array_equal(batch["x"], batch["label"] * 10)


def test_item_bytes():
    assert feed.in_memory(numbers(), 4).item_bytes() == 4 * 4
    assert feed.empty().item_bytes() == 0


@pytest.mark.parametrize("batch_size", [0, N + 1])
def test_a_batch_larger_than_the_data(batch_size):
    with pytest.raises(ValueError, match=f"batch_size={batch_size} must be between 1 and the 10"):
        feed.in_memory(numbers(), batch_size)


@pytest.mark.parametrize("arrays", [{"x": np.zeros((0, 2))}, {"x": np.zeros(3), "y": np.zeros(2)}])
def test_arrays_of_unequal_or_no_length(arrays):
    with pytest.raises(ValueError, match="same, non-zero length"):
        feed.in_memory(arrays, 1)
    with pytest.raises(ValueError, match="same, non-zero length"):
        feed.examples(arrays, 1)


def test_arrays_are_named():
    for make in feed.in_memory, feed.examples:
        with pytest.raises(ValueError, match="arrays must be a dict, such as .* not a tuple"):
            make((np.zeros(3), np.zeros(3)), 1)


@pytest.mark.parametrize(
    "batch_size, multiple, shape",
    [(4, 1, (3, 4)), (10, 1, (1, 10)), (100, 1, (1, 10)), (4, 8, (2, 8)), (100, 8, (1, 16))],
)
def test_examples_are_masked_and_come_once(batch_size, multiple, shape):
    examples = feed.examples(numbers(), batch_size, multiple)
    batches = list(feed.batches(examples))
    assert (len(batches), len(batches[0]["label"])) == shape
    seen = []
    for batch in batches:
        assert len(batch["label"]) == len(batch["example_mask"]) == shape[1]
        np.testing.assert_array_equal(batch["x"], batch["label"] * 10)
        assert (
            set(batch["example_mask"]) <= {0.0, 1.0} and batch["example_mask"].dtype == np.float32
        )
        seen += list(batch["label"][batch["example_mask"] == 1])
    assert seen == list(range(N))


@pytest.mark.parametrize(
    "lengths, expected",
    [
        ((144, 360), 144),
        ((0, 360), 250),
        ((60, 360), 250),
        ((63, 360), 63),
        ((900, 300), 250),
        ((21, 33), 21),
    ],
)
def test_a_batch_for_all_parts(lengths, expected):
    assert feed.common_batch(250, *lengths) == expected
