"""Labelled texts from tables and folders, and the embedded passages."""

import csv
from itertools import pairwise
from pathlib import Path

import pytest

from dljax.data.sources.labelled_text import load_labelled, texts_of, to_score

ROWS = [(f"text {i}, with a comma", "even" if i % 2 == 0 else "odd") for i in range(40)]


def write(path, rows, header="text,label"):
    lines = [header, *(f'"{text}",{label}' for text, label in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_a_table(tmp_path):
    path = write(tmp_path / "a.csv", [*ROWS, ('two\nlines, ""quoted""', "odd"), ROWS[0]])
    data = load_labelled(path)
    assert data.classes == ("even", "odd")
    assert len(data.train.texts) + len(data.test.texts) == 42
    assert not set(data.train.texts) & set(data.test.texts)  # equal texts stay together
    assert 'two\nlines, "quoted"' in data.train.texts + data.test.texts
    for part in (data.train, data.test):
        for text, label in zip(part.texts, part.labels, strict=True):
            if text.startswith("text"):
                assert label == int(text.split()[1].rstrip(",")) % 2
    assert load_labelled(path) == data
    assert texts_of(tmp_path / "a.csv", "text")[:2] == [text for text, _ in ROWS[:2]]


def test_folders(tmp_path):
    for part, count in (("train", 3), ("test", 2)):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                (tmp_path / part / name / f"{i}.txt").write_text(f"{part if i else ''} {name} {i}")
    data = load_labelled(str(tmp_path))
    assert data.train.labels == (0, 0, 0, 1, 1, 1) and data.test.labels == (0, 0, 1, 1)
    assert data.train.texts[1] == "train a 1"
    assert "2 texts of the test part are in the training part too" in data.notes[0]
    assert len(load_labelled(str(tmp_path / "train"), test=0.5).classes) == 2
    (tmp_path / "test" / "c").mkdir()
    (tmp_path / "test" / "c" / "0.txt").write_text("c")
    with pytest.raises(ValueError, match="train lacks: c"):
        load_labelled(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("words,label\nx,y\n", "no single column 'text', but: words, label. --text_column"),
        ("text,class\nx,y\n", "--label_column names another"),
        ("text,label\na,b,c\n", "line 2: 3 cells, the header has 2"),
        ("text,label\n,b\n", "line 2: an empty text or label"),
        ('text,label\n"a,b\n', "line 2: unexpected end of data"),
        ("text,label\na,b\n", "1 classes|0 classes"),
        ("text,label\n", "a header, but no rows"),
        ("text,label\ncaf\xe9,b\n", r"-t UTF-8\)$"),
    ],
)
def test_tables_that_can_not_be_used(content, message, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=message) as error:
        load_labelled(str(path))
    assert "\n" not in str(error.value) and "a.csv" in str(error.value)


def test_long_cells(tmp_path):
    path = write(tmp_path / "a.csv", [("x" * 200_000, "a")])
    before = csv.field_size_limit()
    assert texts_of(Path(path), "text") == ["x" * 200_000] and csv.field_size_limit() == before


def test_folders_of_parts(tmp_path):
    """In any case and spelling; what is not used is named, and parts are no classes."""
    for file in ("Train/a/1.txt", "Train/a/2.TXT", "Train/b/1.TXT", "valid/a/1.txt",
                 "extra/a/1.txt", "Train/c/1.doc", "Train/b/.hidden.txt"):  # fmt: skip
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file)
    data = load_labelled(str(tmp_path))
    assert data.train.texts == ("Train/a/1.txt", "Train/a/2.TXT", "Train/b/1.TXT")
    assert data.test.texts == ("valid/a/1.txt",) and data.classes == ("a", "b")
    notes = "; ".join(data.notes)
    assert "extra/" in notes and "without .txt files: c/" in notes and "serves as one" in notes
    part, notes = to_score(str(tmp_path), ("a", "b"), text="text", label="label")
    assert part.labels == (0,) and notes[-1] == "the validation part: 1 texts are scored"
    (tmp_path / "test" / "b").mkdir(parents=True)
    (tmp_path / "test" / "b" / "1.txt").write_text("b")
    data = load_labelled(str(tmp_path))
    assert data.test.texts == ("b",) and "not used: valid/ (1 texts)" in str(data.notes)
    for part in ("train", "val"):
        (tmp_path / "flat" / part).mkdir(parents=True)
        (tmp_path / "flat" / part / "1.txt").write_text(part)
    with pytest.raises(ValueError, match="train/, val/ are named like parts"):
        load_labelled(str(tmp_path / "flat"))


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="kjv_books"):
        load_labelled("nowhere.csv")
    with pytest.raises(ValueError, match="no folder of"):
        load_labelled(str(tmp_path))


def test_the_embedded_passages():
    data = load_labelled("kjv_books")
    assert len(data.classes) == 24 and data.classes[0] == "Genesis"
    assert (len(data.train.texts), len(data.test.texts)) == (8470, 1871)
    assert set(data.test.labels) == set(data.train.labels) == set(range(24))
    assert min(map(len, data.train.texts)) >= 200
    assert not set(data.train.texts) & set(data.test.texts)
    assert all(a <= b for a, b in pairwise(data.train.labels))
