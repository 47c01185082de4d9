"""The commands of README.md and docs/, and a check that they run as printed, one after another.

    python -m tests.docs_commands                       # all pages
    python -m tests.docs_commands --pages=docs/gan.md --steps=20

Runs the commands of the pages in their order in one folder, empty at first, with the data that they
name made up (tests/stand_ins.py), their training cut to --steps and one seed, and few of the
embedded images that are drawn at a start. With --read they read their data and build their task,
and train nothing. A command fails by an exit code other than
0. Ends with the list of those that failed, and exit code 1 if there are any.
"""

import argparse
import importlib
import multiprocessing
import os
import pathlib
import re
import runpy
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dljax.apps.driving import simulation
from dljax.apps.gan import feature_extractor
from dljax.data.sources import clips, vision
from dljax.data.sources.medical import brain
from dljax.run import command_line, session
from dljax.run.config import Config, served

ROOT = pathlib.Path(__file__).parent.parent
SCRIPTS = [
    path.stem
    for path in sorted((ROOT / "experiments").glob("*.py"))
    if '\nif __name__ == "__main__"' in path.read_text(encoding="utf-8")
    and not path.stem.startswith("_")
]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted(ROOT.glob("C*.md")), *sorted(ROOT.glob("docs/*.md"))]
}


SHORT = {
    "autonomous_driving": ("--laps=2", "--cars=2", "--memory=64", "--nodisturbances"),
    "gan_augmentation": ("--gan_steps={steps}",),
}
"""What else makes a script short."""


class Block(NamedTuple):
    """A fenced block of a page and the line it begins on."""

    page: str
    line: int
    language: str
    body: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


BLOCKS = [
    Block(page, text[: match.start()].count("\n") + 2, *match.groups())
    for page, text in PAGES.items()
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
]


def commands(block: Block) -> list[list[str]]:
    """The words of each command of a shell block; none of another block."""
    lines = block.body.replace("\\\n", " ").splitlines() if block.language == "sh" else []
    return [shlex.split(line, comments=True) for line in lines]


def commands_of(page: str) -> list[list[str]]:
    """The words of each command of a page, in its order."""
    return [words for block in BLOCKS if block.page == page for words in commands(block)]


def experiment(words: Sequence[str]) -> str:
    """The script that a command starts, or an empty text if it starts none."""
    if words[:2] != ["python", "-m"]:
        return ""
    name = words[2].removeprefix("experiments.")
    return name if words[2] != name and name in SCRIPTS else ""


def config_of(script: str) -> type[Config]:
    return importlib.import_module(f"dljax.apps.configs.{script}").Config


def trains(words: Sequence[str]) -> Config | None:
    """What a command trains; None if it trains nothing."""
    script = experiment(words)
    if not script or script in ("compare", "devices", "export") or "--help" in words:
        return None
    config = command_line.parse(config_of(script), ["docs", *words[3:]])
    uses = [x for x in served(config_of(script)) if x.metadata.get("group") == "use"]
    return None if any(getattr(config, x.name) != x.default for x in uses) else config


def cut(words: Sequence[str], steps: int) -> list[str]:
    """The command with its training cut to so many steps of one seed, and what SHORT says."""
    short = [*words, f"--steps={steps}", "--num_seeds=1"]
    if words[:3] == ["python", "-m", "benchmarks.across"]:
        return short
    config = trains(words)
    if config is None:
        return list(words)
    return short + [x.format(steps=steps) for x in SHORT.get(experiment(words), ())]


def skipped(words: Sequence[str]) -> str:
    """Why a command isn't run here; an empty text if it is."""
    if words[0] in ("make", "pip"):
        return "installs"
    if words[0].startswith("JAX_COORDINATOR_ADDRESS"):
        return "needs a second host"
    if words[2].startswith("benchmarks.") and words[2] != "benchmarks.across":
        return "writes into the repository"
    return ""


def lay_out(folder: pathlib.Path, page: str, names: Sequence[str] = ()) -> None:
    """Leaves only runs/ in the folder, and writes the page's stand-ins (those of `names`)."""
    from tests.stand_ins import STAND_INS

    for path in folder.iterdir():
        if path.name != "runs":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, write in STAND_INS.get(page, {}).items():
        if not names or name in names:
            write(folder / name)


def shrink() -> None:
    """Makes few of the embedded images that are drawn at a start, and trains judges briefly."""
    vision.SCENES, vision.HELD_OUT = 200, 50
    brain.COUNTS.update(train=2, validation=1, test=2)
    clips.TRAIN, clips.TEST = 200, 100
    feature_extractor.STEPS = 10
    simulation.LAPS = 2


def start(words: Sequence[str], folder: str, output: str, only_read: bool) -> None:
    """Runs `python -m MODULE ...` in this process, in that folder; its output goes into a file."""
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.chdir(folder)
    sys.argv = [words[2], *words[3:]]
    shrink()
    if only_read:
        session.train = lambda *parts, **settings: sys.exit(not session.built(*parts))
    runpy.run_module(words[2], run_name="__main__", alter_sys=True)


def failures(
    folder: pathlib.Path, pages: Sequence[str], steps: int, only_read: bool
) -> Iterator[str]:
    """Runs the commands of the pages and yields each that failed, with the end of its output.

    Each has a process of its own, forked from one that has imported the library: that halves the
    time. Programs are compiled at LLVM's level 1: most are run for a second only.
    """
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([f"dljax.apps.{script}" for script in SCRIPTS])
    output = f"{folder}.txt"
    for page in pages:
        print(f"\n== {page}", flush=True)
        lay_out(folder, page)
        for words in commands_of(page):
            line = shlex.join(words)
            if reason := skipped(words):
                print(f"   -    {line} ({reason})", flush=True)
                continue
            if only_read and trains(words) is None:
                continue
            begun = time.monotonic()
            how = (cut(words, steps), str(folder), output, only_read)
            process = server.Process(target=start, args=how)
            process.start()
            process.join()
            print(f"{time.monotonic() - begun:4.0f} s  {line}", flush=True)
            if process.exitcode:
                end = pathlib.Path(output).read_text(errors="replace").strip().splitlines()[-3:]
                print(f"       exit code {process.exitcode}:", *end, sep="\n       ", flush=True)
                yield "\n".join([f"{page}: {line}", *end])


def main() -> None:
    """Runs them and exits with 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", default=",".join(PAGES), help="pages with commas between")
    parser.add_argument("--steps", type=int, default=2, help="training steps of each command")
    parser.add_argument("--read", action="store_true", help="read the data, train nothing")
    parser.add_argument("--folder", help="where they run; a temporary folder unless given")
    flags = parser.parse_args()
    pages = flags.pages.split(",")
    if unknown := set(pages) - set(PAGES):
        parser.error(f"no such page: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(flags.folder or temporary).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if any(path.name != "runs" for path in folder.iterdir()) and flags.folder:
            parser.error(f"{folder} is not empty")
        failed = list(failures(folder, pages, flags.steps, flags.read))
    print(f"\n{len(failed)} failed", *failed, sep="\n\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
