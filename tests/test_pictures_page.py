"""docs/plots.md lists every picture that the library writes, and no other."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
ENDINGS = (".png", ".gif")


def text(node: ast.AST) -> str:
    """The string that an expression is, '*' for what is filled in; '' if it is none."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(x.value) if isinstance(x, ast.Constant) else "*" for x in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def written(source: str) -> tuple[set[str], set[str]]:
    """Names that code joins to a folder, patterns where they are put together, and names that it
    may write by the pattern '*'."""
    names, words = set(), set()
    for node in ast.walk(ast.parse(source)):
        words.add(text(node))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            names.add(text(node.right))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "with_suffix":
            names |= {f"*{text(x)}" for x in node.args}
    names = {name for name in names if name.endswith(ENDINGS)}
    general = {name.removeprefix("*") for name in names if name[1:] in ENDINGS}
    return names, {word + ending for word in words for ending in general}


def test_every_picture_is_listed():
    page = (ROOT / "docs" / "plots.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    listed = {name.rpartition("/")[2] for row in rows for name in re.findall(r"`([^`]+)`", row)}
    listed = {re.sub(r"[A-Z]+", "*", name) for name in listed}
    found = [
        written(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "dljax").rglob("*.py"))
    ]
    names, possible = (set().union(*parts) for parts in zip(*found, strict=True))
    assert len(names) > 40
    assert names - listed == set(), "write what they tell into docs/plots.md"
    assert listed - names - possible == set(), "no code writes them"
