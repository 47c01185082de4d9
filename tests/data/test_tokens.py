"""Vocabularies: exact there and back, known from the training text alone, counted by character."""

import json

import numpy as np
import pytest

from dljax.data import tokens as t

TEXT = "To be, or not to be:\r\n“naïve” café – 日本語 🎭\n\n\tzero\x0b end"


def made(kind):
    if kind == "bpe":
        pytest.importorskip("tokenizers", reason="requirements-dev.txt installs it")
    return t.make(kind, TEXT * 3, 300)


@pytest.mark.parametrize("kind", t.KINDS)
def test_there_and_back(kind):
    tokens = made(kind)
    ids = tokens.encode(TEXT)
    assert ids.dtype == np.int32 and ids.min() > t.BORDER and ids.max() < len(tokens.names)
    assert tokens.decode(ids) == TEXT
    assert tokens.decode([t.BORDER, *ids]) == TEXT
    assert tokens.characters[ids].sum() == len(TEXT)
    assert tokens.bytes[ids].sum() == len(TEXT.encode())
    assert len(tokens.names) == len(tokens.characters) == len(tokens.bytes)


@pytest.mark.parametrize("kind", t.KINDS)
def test_kept_with_a_run(kind):
    tokens = made(kind)
    again = t.load(json.loads(json.dumps(tokens.saved)))
    np.testing.assert_array_equal(again.encode(TEXT), tokens.encode(TEXT))
    assert again.names == tokens.names and t.digest(again) == t.digest(tokens)


def test_unknown_characters():
    tokens = t.characters("abcb")
    assert tokens.names == ("border", "unknown", "a", "b", "c")
    np.testing.assert_array_equal(tokens.encode("cab!é"), [4, 2, 3, 1, 1])
    assert tokens.decode(tokens.encode("c!")) == "c\ufffd"
    assert t.digest(tokens) != t.digest(t.characters("abd"))
    np.testing.assert_array_equal(t.characters("").encode("x"), [1])


def test_any_bytes():
    text = b"\xff\x00caf\xe9".decode("utf-8", errors="surrogateescape")
    tokens = t.byte_values()
    ids = tokens.encode(text)
    np.testing.assert_array_equal(ids, [256, 1, 100, 98, 103, 234])
    assert tokens.decode_bytes(ids) == b"\xff\x00caf\xe9"
    assert tokens.decode(ids) == "\ufffd\x00caf\ufffd"


def test_bpe_is_of_the_training_text():
    pytest.importorskip("tokenizers", reason="requirements-dev.txt installs it")
    tokens = t.bpe("banana banana bandana " * 20, 270)
    assert 257 < len(tokens.names) <= 270
    assert len(tokens.encode("banana banana")) < 5
    assert tokens.decode(tokens.encode("日本")) == "日本"  # any text, by its bytes
    assert tokens.characters[tokens.encode("日本")].sum() == 2
