"""Texts from files, their split by position, and the streams of a batch."""

import json
from itertools import pairwise

import numpy as np
import pytest

from dljax.data import text as t
from dljax.data import tokens
from dljax.data.sources.text import load_text


def test_the_embedded_text():
    text = load_text("kjv")
    assert len(text.documents) == 66 and sum(map(len, text.documents)) == 4140564
    assert text.documents[0].startswith("In the beginning God created")
    assert text.documents[-1].endswith("Jesus Christ be with you all. Amen.\n")
    assert not any(x.isdigit() for document in text.documents for x in document)


def test_a_file_is_taken_as_it_is(tmp_path):
    path = tmp_path / "a.txt"
    content = "one\r\ntwo \n\nthrée\x0b\n"
    path.write_bytes(content.encode())
    assert load_text(str(path)).documents == (content,)
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    marked = load_text(str(path))
    assert marked.documents == (content,) and "byte order mark" in marked.notes[0]
    raw = load_text(str(path), raw=True).documents[0]
    assert raw.encode("utf-8", "surrogateescape") == b"\xef\xbb\xbf" + content.encode()
    path.write_bytes(content.encode("utf-16"))
    assert load_text(str(path)).documents == (content,)


def test_a_folder_and_lines(tmp_path):
    for name, text in {"b/2.txt": "two", "a/1.md": "one", ".x/3.txt": "no", "4.txt": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = load_text(str(tmp_path))
    assert found.documents == ("one", "two") and "1 empty" in found.notes[0]
    lines = tmp_path / "x.jsonl"
    lines.write_text('{"text": "one\\n"}\n\n"two\u2028"\n')
    assert load_text(str(lines)).documents == ("one\n", "two\u2028")
    lines.write_text(json.dumps({"body": "one"}))
    assert load_text(str(lines), column="body").documents == ("one",)


def bad(path, content, **settings):
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        load_text(str(path), **settings)
    assert "\n" not in str(error.value) and path.name in str(error.value)
    return str(error.value)


def test_what_is_no_text(tmp_path):
    assert "byte 3 (0xe9)" in bad(tmp_path / "a.txt", b"caf\xe9")
    assert "zero character at 1" in bad(tmp_path / "a.txt", b"a\0b")
    assert "is empty" in bad(tmp_path / "a.txt", b"")
    assert "text_classification" in bad(tmp_path / "a.csv", b"text,label")
    assert "line 2: no JSON" in bad(tmp_path / "a.jsonl", b'"x"\n{')
    assert "'text', but there is: body" in bad(tmp_path / "a.jsonl", b'{"body": "x"}')
    assert "line 1: \\ud83d at character 2 is half" in bad(tmp_path / "a.jsonl", b'"ab\\ud83d"')
    assert "--tokens" not in bad(tmp_path / "a.jsonl", b'"\xe9"')
    assert "--tokens=bytes" in bad(tmp_path / "a.txt", b"\xe9")
    assert "there is: int" in bad(tmp_path / "a.jsonl", b"3")
    assert "holds no text" in bad(tmp_path / "a.jsonl", b"\n")
    with pytest.raises(FileNotFoundError, match="kjv"):
        load_text("nowhere.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds no \.txt"):
        load_text(str(tmp_path / "empty"))


def test_split_by_position():
    parts = t.split(("abcdef", "ghij"), 0.2, 0.3)
    assert parts == t.Split(("abcde",), ("f", "g"), ("hij",))
    assert t.split(("a" * 1115394,), 0, 0.1).train == ("a" * 1003854,)  # int(0.9 * 1115394)
    with pytest.raises(ValueError, match="too short for a validation part"):
        t.split(("abc",), 0.1, 0.1)


def test_documents_begin_with_a_border():
    np.testing.assert_array_equal(t.encoded(tokens.characters("abc"), ("ab", "c")), [0, 2, 3, 0, 4])


def test_streams_of_a_batch_go_on():
    """Rows go on from step to step; at the end of an epoch all are reset, and begin elsewhere."""
    ids = np.arange(1000, dtype=np.int32)
    feed = t.feed(ids, batch_size=4, length=7)  # 35 steps of 28 tokens, 19 are left over
    items = feed.chunk(0, 0, 72)
    batches = [
        feed.batch(feed.arrays, {name: x[i] for name, x in items.items()}) for i in range(72)
    ]
    resets = [bool(batch["reset"].all()) for batch in batches]
    assert [i for i, reset in enumerate(resets) if reset] == [0, 35, 70]
    assert not any(
        batch["reset"].any() for batch, reset in zip(batches, resets, strict=True) if not reset
    )
    for before, after in pairwise(batches):
        if not after["reset"].any():
            np.testing.assert_array_equal(after["tokens"][:, 0], before["tokens"][:, -1])
    firsts = [int(batches[i]["tokens"][0, 0]) for i in (0, 35, 70)]
    assert len(set(firsts)) > 1 and max(firsts) <= 19
    predicted = np.concatenate([batch["tokens"][:, 1:].ravel() for batch in batches[:35]])
    np.testing.assert_array_equal(np.sort(predicted), np.arange(980) + firsts[0] + 1)


def test_items_depend_on_seed_and_step_alone():
    feed = t.feed(np.arange(300, dtype=np.int32), 3, 10)
    whole, part = feed.chunk(1, 0, 40), feed.chunk(1, 13, 9)
    for name in whole:
        np.testing.assert_array_equal(whole[name][13:22], part[name])
    assert any((feed.chunk(seed, 0, 1)["first"] != whole["first"][:1]).any() for seed in range(5))


def test_a_text_too_short_to_train_on():
    with pytest.raises(ValueError, match="has 30 tokens, fewer than the 33"):
        t.feed(np.arange(30, dtype=np.int32), 4, 8)


@pytest.mark.parametrize("count", [1, 3, 16, 200])
def test_each_token_is_scored_once(count):
    ids = np.arange(101, dtype=np.int32)
    found = t.streams(ids, count, multiple=8, warm_up=5)
    assert (found["tokens"].shape[1] - 1) % 8 == 0
    np.testing.assert_array_equal(np.sort(found["tokens"][:, 1:][found["scored"]]), ids[1:])
    for tokens_, scored in zip(found["tokens"], found["scored"], strict=True):
        first, last = np.flatnonzero(scored)[[0, -1]]
        np.testing.assert_array_equal(np.diff(tokens_[: last + 2]), 1)
        assert first == min(5, tokens_[first])  # so many tokens before the first that counts
