"""README.md and docs/: their Python runs, their commands and flags exist, their links resolve."""

import dataclasses
import functools
import importlib
import importlib.util
import re
import shlex
import tomllib

import pytest
import yaml

import dljax
from benchmarks import gpu, ledger
from dljax.run import command_line, session
from dljax.run import config as run_config
from tests.docs_commands import (
    BLOCKS,
    PAGES,
    ROOT,
    SCRIPTS,
    commands,
    commands_of,
    config_of,
    experiment,
    lay_out,
    trains,
)
from tests.stand_ins import STAND_INS

TEXT = "\n".join(PAGES.values())
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
        experiment = session.built(config, experiment)
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
    known = set(re.findall(r"--(\w+)", gpu.flag_parser().format_help()))
    for script in SCRIPTS:
        help_text = command_line.help_text(config_of(script), "", "")
        known |= set(re.findall(r"--(?:\[no\])?(\w+)", help_text))
        known |= {f"no{name}" for name in re.findall(r"--\[no\](\w+)", help_text)}
    assert written - known == set()


def test_commands_do_not_collide():
    """Each trains in a workdir of its own, so that a reader may run one page after another."""
    trained: dict[str, set[str]] = {}
    for words in COMMANDS:
        if config := trains(words):
            trained.setdefault(config.workdir, set()).add(shlex.join(words))
    assert {folder: lines for folder, lines in trained.items() if len(lines) > 1} == {}


EMBEDDED = {"stocks", "brain", "injected"}
OWN = re.compile(
    r"[A-Z_]+(\.\w+)?|photos|scans|flowers\.zip|(people|labels|tags|ages)\.csv|[AB]\.png"
    r"|patient\.nii\.gz"
)
READING = ("dataset", "data_dir", "predict", "evaluate", "enroll", "identify", "verify", "stream",
           "score")  # fmt: skip


def test_data_that_a_command_names_is_embedded_or_can_be_had():
    """What is no reader's own is in the table of public data; all has a stand-in, to be tried."""
    public = PAGES["docs/data_formats.md"].split("## Public data")[1].split("\n## ")[0]
    named = set()
    for page in PAGES:
        flags = [word.partition("=") for words in commands_of(page) for word in words]
        values = [value for flag, _, value in flags if flag.removeprefix("--") in READING]
        for name in ",".join(values).split(","):
            name = name.removeprefix("nab:").rstrip("/")
            if name in EMBEDDED or not name:
                continue
            if name.startswith("tfds:"):
                assert f"`{name}`" in public
                continue
            assert name in STAND_INS[page], f"{page} names {name}: add it to tests/stand_ins.py"
            assert OWN.fullmatch(name) or f"`{name}`" in public, f"{page}: where is {name}?"
            named.add(name)
    assert len(named) > 30


@pytest.mark.parametrize("page", ["README.md", "docs/forecasting.md", "docs/anomaly_detection.md"])
def test_commands_build_what_they_train(page, tmp_path, monkeypatch):
    """The others: python -m tests.docs_commands, which also trains."""
    built = []

    def train(config, experiment):
        built.append(session.built(config, experiment).dataset)

    monkeypatch.setattr(session, "train", train)
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path, page)
    found = [(experiment(words), trains(words)) for words in commands_of(page)]
    for script, config in found:
        if config:
            importlib.import_module(f"dljax.apps.{script}").train(config)
    assert len(built) == sum(config is not None for _, config in found) > 1


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


def test_the_citation_is_of_this_package():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (dljax.__version__, project["license"])
    assert cited["title"].startswith(f"{project['name']}: ") and cited["authors"]


def test_numbers_of_the_readme_are_those_of_the_ledger():
    shown = {ledger.shown(result) for result in ledger.load()}
    pattern = r"-?[\d.]+(?: ± [\d.]+)?(?: %)? \(\d+ \w+\)"
    numbers = re.findall(pattern, PAGES["README.md"])
    measured = {result.heading() for result in ledger.load()} & set(ledger.TOPICS)
    assert len(numbers) >= len(measured) > 5
    assert set(numbers) <= shown
