"""Labelled texts from tables and folders, and the embedded passages."""

from itertools import pairwise

import pytest

from dljax.data.sources.labelled_text import load_labelled, texts_of

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
    ],
)
def test_tables_that_can_not_be_used(content, message, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        load_labelled(str(path))
    assert "\n" not in str(error.value) and "a.csv" in str(error.value)


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
