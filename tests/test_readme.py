"""What the README says: its Python runs, its commands and flags exist, its links lead somewhere."""

import importlib
import importlib.util
import pathlib
import re
import shlex

import pytest

from experiments import base

ROOT = pathlib.Path(__file__).parent.parent
SCRIPTS = [
    path.stem
    for path in sorted((ROOT / "experiments").glob("*.py"))
    if '\nif __name__ == "__main__"' in path.read_text(encoding="utf-8")
]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = [body for language, body in BLOCKS if language == "python"]
COMMANDS = [
    shlex.split(line, comments=True)
    for language, body in BLOCKS
    if language == "sh"
    for line in body.replace("\\\n", " ").splitlines()
]
EVERY_LINK = re.findall(r"\]\(([^)]+)\)", TEXT) + re.findall(r'<img src="([^"]+)"', TEXT)
LINKS = sorted({link for link in EVERY_LINK if not link.startswith("https://")})


def config_of(module: str) -> type[base.Config]:
    return importlib.import_module(module).Config


def test_something_was_found():
    assert len(PYTHON) == 3 and len(COMMANDS) > 10 and len(LINKS) > 10


@pytest.mark.parametrize("code", PYTHON, ids=["network", "experiment", "environment"])
def test_python_runs(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick, changed = re.subn(r"\bsteps=\d+", "steps=3", code)
    assert changed == 1
    exec(compile(quick, "README.md", "exec"), {"__name__": "readme"})
    assert re.search(r"\d\.\d", capsys.readouterr().out), "it prints a result"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_exist(words):
    while re.fullmatch(r"[A-Z_]+=\S+", words[0]):
        words = words[1:]
    match words:
        case ["make", target]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        case ["python", "-m", module, *flags] if module.startswith("experiments."):
            if flags != ["--help"]:
                base.parse(config_of(module), ["readme", *flags])
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None
        case _:
            assert words[:2] == ["pip", "install"]


def test_flags_exist():
    spoken = set(re.findall(r"`--(\w+)", TEXT))
    known = {"help"}
    for name in SCRIPTS:
        help_text = base.help_text(config_of(f"experiments.{name}"), "", "")
        known |= set(re.findall(r"--(?:\[no\])?(\w+)", help_text))
    assert spoken <= known


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_shown(name):
    assert any(words[:3] == ["python", "-m", f"experiments.{name}"] for words in COMMANDS)


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_somewhere(link):
    assert (ROOT / link.split("#")[0]).exists()
