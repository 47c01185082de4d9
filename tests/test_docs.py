"""README.md and docs/: their Python runs, their commands and flags exist, their links resolve."""

import dataclasses
import functools
import importlib
import importlib.util
import pathlib
import re
import shlex
from typing import NamedTuple

import pytest

from benchmarks import ledger
from dljax.run import command_line, session
from dljax.run import config as run_config

ROOT = pathlib.Path(__file__).parent.parent
SCRIPTS = [
    path.stem
    for path in sorted((ROOT / "experiments").glob("*.py"))
    if '\nif __name__ == "__main__"' in path.read_text(encoding="utf-8")
    and not path.stem.startswith("_")
]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
TEXT = "\n".join(PAGES.values())


class Block(NamedTuple):
    """A fenced block of a page and the line it begins on."""

    page: str
    line: int
    language: str
    body: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def commands(block: Block) -> list[list[str]]:
    """The words of each command of a shell block; none of another block."""
    lines = block.body.replace("\\\n", " ").splitlines() if block.language == "sh" else []
    return [shlex.split(line, comments=True) for line in lines]


BLOCKS = [
    Block(page, text[: match.start()].count("\n") + 2, *match.groups())
    for page, text in PAGES.items()
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
]
SESSION = "docs/from_python.md"  # whose snippets build on one another
PYTHON = [block for block in BLOCKS if block.language == "python"]
ALONE = [block for block in PYTHON if block.page != SESSION]
COMMANDS = [words for block in BLOCKS for words in commands(block)]
LINKS = sorted(
    {
        (page, link)
        for page, text in PAGES.items()
        for link in re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
        if not link.startswith("https://")
    }
)


USES = {
    "predict": "",
    "evaluate": "",
    "enroll": "",
    "identify": "",
    "verify": (),
    "remove": "",
    "features": "",
    "stream": "",
    "sample": 0,
    "play": -1,
    "prompt": None,
    "score": "",
}
"""Flags that use what was trained, and their defaults."""


def config_of(script: str) -> type[run_config.Config]:
    return importlib.import_module(f"dljax.apps.configs.{script}").Config


@functools.cache
def parsed(script: str, *flags: str) -> run_config.Config:
    return command_line.parse(config_of(script), ["docs", *flags])


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_something_was_found():
    assert len(PYTHON) == 18 and len(ALONE) == 6 and len(COMMANDS) > 50 and len(LINKS) > 50


def test_the_front_door_is_short():
    assert len(PAGES["README.md"].encode()) <= 10_000


@pytest.mark.parametrize("block", ALONE, ids=str)
def test_python_runs(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick, changed = re.subn(r"\bsteps=\d+", "steps=3", block.body)
    assert changed == len(re.findall(r"\btrain\(", block.body))
    exec(compile(quick, str(block), "exec"), {"__name__": "docs"})
    assert re.search(r"\d\.\d", capsys.readouterr().out), "it prints a result"


def test_the_session_from_python_runs(tmp_path, monkeypatch, capsys):
    """From top to bottom; a snippet that begins with a file's name is that file.

    Baselines, analyses and pictures of apps are left out: their own tests have them.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    whole = session.train

    def short(config, experiment):
        bare = experiment._replace(baselines=None, analyze=None, draw=None)
        return whole(dataclasses.replace(config, plots=False), bare)

    monkeypatch.setattr(session, "train", short)
    names = {"__name__": "docs"}
    for block in PYTHON:
        if block.page != SESSION:
            continue
        if file := re.match(r"# (\w+\.py)\n", block.body):
            (tmp_path / file[1]).write_text(block.body)
        quick = re.sub(r"\bsteps=\d+", "steps=3", block.body)
        try:
            exec(compile(quick, str(block), "exec"), names)
        except Exception as error:
            pytest.fail(f"{block}: {type(error).__name__}: {error}")
        printed = capsys.readouterr().out
        assert ("print(" in block.body) == bool(re.search(r"\d", printed)), block
    # What the page says beside its snippets.
    assert names["data"].train_images["image"].dtype == "float32"
    assert names["result"].run.states.params["Conv_0"]["kernel"].shape == (1, 3, 3, 1, 16)
    assert names["action"].shape == (3,) and len(names["rows"]) > 1
    assert float(names["value"]) < 1e-3
    with pytest.raises(ValueError, match="asks for value, grad, value_fn besides the gradient"):
        task = names["classifier"].task(
            names["Network"](), names["optax"].lbfgs(), image_shape=(8, 8, 1), classes=10
        )
        names["driver"].train(task, names["data"].train, steps=1)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_exist(words):
    while re.fullmatch(r"[A-Z_]+=\S+", words[0]):
        words = words[1:]
    match words:
        case ["make", target, *variables]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{target}:", makefile, re.MULTILINE)
            for variable in variables:
                assert re.search(rf"^{variable.split('=')[0]} \?=", makefile, re.MULTILINE)
        case ["python", "-m", module, *flags] if module.startswith("experiments."):
            assert module.removeprefix("experiments.") in SCRIPTS
            if flags != ["--help"]:
                parsed(module.removeprefix("experiments."), *flags)
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None
        case _:
            assert words[:2] == ["pip", "install"]


@pytest.mark.parametrize("result", ledger.load(), ids=lambda result: result.name)
def test_commands_of_the_ledger_exist(result):
    test_commands_exist(shlex.split(result.command))


def test_flags_exist():
    written = set(re.findall(r"`--(\w+)", TEXT))
    known = {"help"}
    for script in SCRIPTS:
        help_text = command_line.help_text(config_of(script), "", "")
        known |= set(re.findall(r"--(?:\[no\])?(\w+)", help_text))
    assert written - known == set()


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_not_collide(page):
    """Each trains in a workdir of its own, so that a reader may run one after another."""
    trained: dict[str, set[str]] = {}
    for words in (words for block in BLOCKS if block.page == page for words in commands(block)):
        script = words[2].removeprefix("experiments.") if len(words) > 2 else ""
        if script not in SCRIPTS or script == "export" or "--help" in words:
            continue
        config = parsed(script, *words[3:])
        if all(getattr(config, name, default) == default for name, default in USES.items()):
            trained.setdefault(config.workdir, set()).add(shlex.join(words))
    assert all(len(lines) == 1 for lines in trained.values()), trained


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_shown(script):
    assert any(words[:3] == ["python", "-m", f"experiments.{script}"] for words in COMMANDS)


def test_every_page_is_linked_from_the_readme():
    linked = {link.split("#")[0] for page, link in LINKS if page == "README.md"}
    assert set(PAGES) - {"README.md"} <= linked


@pytest.mark.parametrize("page, link", LINKS)
def test_links_lead_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    assert target.exists()
    if anchor:
        assert anchor in anchors(target.read_text(encoding="utf-8"))


def test_numbers_of_the_readme_are_those_of_the_ledger():
    shown = {ledger.shown(result) for result in ledger.load()}
    pattern = r"-?[\d.]+(?: ± [\d.]+)?(?: %)? \(\d+ \w+\)"
    numbers = re.findall(pattern, PAGES["README.md"])
    measured = {result.heading() for result in ledger.load()} & set(ledger.TOPICS)
    assert len(numbers) >= len(measured) > 5
    assert set(numbers) <= shown
