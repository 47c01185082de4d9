"""docs/data_formats.md: the words in which it says that data is refused are those of the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "dljax" / "data" / "sources"
TABLES = ("Images with boxes", "Images with masks", "Recordings of drives")


def texts() -> str:
    """All string literals of the readers, what is computed between replaced by a blank."""
    found = []
    others = (SOURCES / f"{name}.py" for name in ("tfds_builder", "table", "notation"))
    for file in (*SOURCES.glob("vision/*.py"), *SOURCES.glob("driving/*.py"), *others):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [x.value if isinstance(x, ast.Constant) else "\0" for x in node.values]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def refusals() -> list[tuple[str, str]]:
    """(format, words) of the last column of the tables."""
    page = (ROOT / "docs" / "data_formats.md").read_text(encoding="utf-8")
    found = []
    for title in TABLES:
        section = page.split(f"## {title}\n")[1].split("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
        for row in rows:
            name, _, refused = row.strip("| ").split(" | ")
            found += [(name, words) for words in re.findall("`([^`]+)`", refused)]
    return found


@pytest.mark.parametrize(("name", "words"), refusals())
def test_words_of_a_refusal(name, words):
    assert words in texts(), f"{name}: no reader says {words!r}"


def test_all_formats_are_listed():
    names = {name for name, _ in refusals()}
    assert {"Pascal VOC", "COCO", "YOLO", "TFDS", "0/255, 1-bit", "palette PNGs"} <= names
