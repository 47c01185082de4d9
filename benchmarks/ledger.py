"""The ledger of all measured results: results.toml, and what docs/ shows of it.

    python -m benchmarks.ledger                     write docs/results.md and docs/gallery.md
    python -m benchmarks.ledger --check             exit 1 if one of them is out of date
    python -m benchmarks.ledger add NAME WORKDIR    add or replace the result of a finished run

Each command of the ledger takes --workdir and leaves a summary.json there, experiments and
benchmarks alike. `metric` is a path into it: "metrics.accuracy" is {"mean", "std", "per_seed"} over
seeds (or repetitions); a plain number counts as one seed without spread.
"""

import argparse
import dataclasses
import datetime
import importlib
import json
import math
import pathlib
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dljax.run import command_line
from dljax.run import config as run_config

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results.toml"
PAGE = ROOT / "docs" / "results.md"
GALLERY = ROOT / "docs" / "gallery.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
TOPICS = {
    "Image classification": ("image_classification",),
    "Object detection": ("object_detection",),
    "Image segmentation": ("image_segmentation",),
    "Face recognition": ("face_recognition",),
    "Medical imaging": ("medical_imaging",),
    "Autonomous driving": ("autonomous_driving",),
    "Forecasting": ("forecasting",),
    "Anomaly detection": ("anomaly_detection",),
    "Language modelling": ("language_modeling", "text_classification"),
    "Sequence probes": ("sequence_probes",),
    "Speech recognition": ("speech_recognition",),
    "Generative adversarial networks": ("image_gan", "video_gan", "gan_augmentation"),
    "Transfer learning": ("transfer_learning",),
    "Reinforcement learning": ("reinforce", "a2c", "ppo", "sac", "dqn", "pqn"),
}
"""Headings of the page, in its order, and the scripts whose results stand below them."""
ARROWS = {"higher": "↑", "lower": "↓"}
SPEED = "Speed"
"""Heading of what the benchmarks measure, the last one."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One entry. Raises ValueError for a field that is not valid."""

    name: str
    command: str  # without --workdir, to be run in the project's root
    metric: str  # path into summary.json
    mean: float
    spread: float  # standard deviation over seeds
    seeds: int
    machine: str
    seconds: float  # all that summary.json counts, for all seeds together
    date: datetime.date
    unit: str = ""  # "%" prints a share as per cent
    better: str = "higher"  # or "lower"
    baseline: str = ""
    published: str = ""
    note: str = ""
    topic: str = ""  # heading on the page; by default that of the command's script

    def __post_init__(self):
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            kind = (int, float) if entry.type is float else entry.type
            if not isinstance(value, kind):
                raise ValueError(f"result {self.name!r}: {entry.name} = {value!r} has a wrong type")
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise ValueError(f"result {self.name!r}: a name is letters, digits, '_', '-' and '.'")
        if not self.command.startswith("python -m "):
            raise ValueError(f"result {self.name!r}: the command must begin with 'python -m '")
        if "--workdir" in self.command:
            raise ValueError(f"result {self.name!r}: the command must not fix --workdir")
        if not (math.isfinite(self.mean) and math.isfinite(self.spread) and self.spread >= 0):
            raise ValueError(f"result {self.name!r}: mean and spread must be finite, spread >= 0")
        if self.seeds < 1 or self.better not in ("higher", "lower"):
            raise ValueError(f"result {self.name!r}: seeds >= 1, better is 'higher' or 'lower'")

    def heading(self) -> str:
        """The topic on the page: the one named, or that of the script that the command runs."""
        script = self.command.split()[2].rpartition(".")[-1]
        known = (topic for topic, scripts in TOPICS.items() if script in scripts)
        default = SPEED if self.is_benchmark() else script.replace("_", " ").capitalize()
        return self.topic or next(known, default)

    def is_benchmark(self) -> bool:
        """Whether the command measures speed, over repetitions, instead of training seeds."""
        return self.command.startswith("python -m benchmarks.")


def load(path: pathlib.Path | None = None) -> list[Result]:
    """The entries of a ledger file (results.toml by default); ValueError if it is invalid."""
    path = path or RESULTS
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        unknown = set(content) - {"result"}
        if unknown:
            raise ValueError(f"unknown table {', '.join(sorted(unknown))}")
        results = [Result(**entry) for entry in content.get("result", [])]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    names = [result.name for result in results]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path}: two results are called {name!r}")
    return results


def save(results: Iterable[Result], path: pathlib.Path | None = None) -> None:
    """Write the entries below the comment with which the file begins; empty fields are left out."""
    path = path or RESULTS
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    head = [line for line in old if line.startswith("#")]
    blocks = ["\n".join(head)] if head else []
    for result in results:
        fields = {k: v for k, v in dataclasses.asdict(result).items() if v != ""}
        lines = [f"{name} = {_toml(value)}" for name, value in fields.items()]
        blocks.append("\n".join(["[[result]]", *lines]))
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def _toml(value: str | int | float | datetime.date) -> str:
    """A value as TOML: JSON's strings are TOML's basic strings."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)


def read_metric(summary: Mapping[str, Any], path: str) -> tuple[float, float, int]:
    """Mean, standard deviation and number of seeds of one metric of a summary.json."""
    value: Any = summary
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = ", ".join(value) if isinstance(value, Mapping) else "nothing"
            raise ValueError(f"summary.json has no {path!r}: at {part!r} there is {known}")
        value = value[part]
    if isinstance(value, Mapping):
        if value["mean"] is None:
            raise ValueError(f"{path!r} of summary.json is finite for no seed")
        numbers = [x for x in value["per_seed"] if x is not None and math.isfinite(x)]
        return float(value["mean"]), float(value["std"]), len(numbers)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{path!r} of summary.json is no number")
    return float(value), 0.0, 1


def read_summary(workdir: pathlib.Path) -> dict[str, Any]:
    """The summary.json of a finished run."""
    try:
        return json.loads((workdir / "summary.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{workdir} has no summary.json: is the run finished?") from None


def command_of(summary: Mapping[str, Any]) -> str:
    """The command of the run that wrote `summary`, without workdir, --quiet and --noplots."""
    name = summary["experiment"]
    config_type = importlib.import_module(f"dljax.apps.configs.{name}").Config
    defaults = {entry.name: entry.default for entry in dataclasses.fields(config_type)}
    unwanted = {k: defaults[k] for k in ("workdir", "quiet", "plots", "predict") if k in defaults}
    config = run_config.from_json(config_type, {**summary["config"], **unwanted})
    return command_line.command(config, f"-m experiments.{name}")


def baselines_of(summary: Mapping[str, Any], metric: str, unit: str) -> str:
    """The scores of the baselines in a summary.json in this metric, as the page prints them."""
    leaf, scale = _leaf(metric), 100.0 if unit == "%" else 1.0
    return "; ".join(
        f"{name} {scale * values[leaf]:.4g}{f' {unit}' if unit else ''}"
        for name, values in summary.get("baselines", {}).items()
        if leaf in values
    )


def entry_of(name: str, workdir: pathlib.Path, old: Result | None, **given: str | None) -> Result:
    """The entry for a finished run; fields neither measured nor given are those of `old`."""
    summary = read_summary(workdir)
    fields: dict[str, Any] = {} if old is None else dataclasses.asdict(old)
    fields |= {k: v for k, v in given.items() if v is not None}
    fields.setdefault("metric", "metrics.accuracy")
    mean, spread, seeds = read_metric(summary, fields["metric"])
    seconds = summary["seconds"]
    measured = baselines_of(summary, fields["metric"], fields.get("unit", ""))
    fields |= {
        "name": name,
        "command": given.get("command") or command_of(summary),
        "mean": float(f"{mean:.6g}"),
        "spread": float(f"{spread:.3g}"),
        "seeds": seeds,
        "baseline": given.get("baseline") or measured or fields.get("baseline", ""),
        "machine": given.get("machine") or summary["device"],
        "seconds": round(sum(seconds.values()) if isinstance(seconds, Mapping) else seconds, 1),
        "date": datetime.date.fromtimestamp((workdir / "summary.json").stat().st_mtime),
    }
    return Result(**fields)


def page(results: Sequence[Result]) -> str:
    """All results as markdown: a heading and a table for each topic, speed ratios at the end."""
    if not results:
        return "No results yet."
    by_topic: dict[str, list[Result]] = {topic: [] for topic in TOPICS}
    for result in results:
        by_topic.setdefault(result.heading(), []).append(result)
    speed = by_topic.pop(SPEED, [])
    parts = [*by_topic.items(), (SPEED, speed)]
    return "\n\n".join(f"## {topic}\n\n{table(group)}" for topic, group in parts if group)


def table(results: Sequence[Result]) -> str:
    """Results of one topic as markdown: a table, then the command of each."""
    rows = [
        {
            "result": result.name,
            "measured": f"{_leaf(result.metric)} {ARROWS[result.better]} {shown(result)}",
            "baselines": result.baseline,
            "published": result.published,
            "seconds": _seconds(result.seconds),
            "machine": result.machine,
        }
        for result in results
    ]
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    lines = [_row(columns), _row(["---"] * len(columns))]
    lines += [_row([row[name] for name in columns]) for row in rows]
    lines.append("")
    for result in results:
        note = f"; {result.note}" if result.note else ""
        lines.append(f"- {result.name}: `{result.command}` ({result.date}{note})")
    return "\n".join(lines)


def _leaf(metric: str) -> str:
    """The last part of a path into summary.json."""
    return metric.rsplit(".", 1)[-1]


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


def shown(result: Result) -> str:
    """Mean and spread, to two digits of the spread, with the number of seeds or repetitions."""
    scale = 100.0 if result.unit == "%" else 1.0
    mean, spread = scale * result.mean, scale * result.spread
    unit = f" {result.unit}" if result.unit else ""
    word = "repetition" if result.is_benchmark() else "seed"
    word = "run" if "benchmarks.across" in result.command else word
    count = f"({result.seeds} {word}{'s' if result.seeds > 1 else ''})"
    if result.seeds == 1 or spread == 0:
        return f"{mean:.4g}{unit} {count}"
    digits = max(0, 1 - math.floor(math.log10(spread)))
    return f"{mean:.{digits}f} ± {spread:.{digits}f}{unit} {count}"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def updated(text: str, results: Sequence[Result]) -> str:
    """`text` with the results between its two markers; ValueError if it lacks them."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the page must hold {BEGIN} and then {END}, once each")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{page(results)}\n{END}{after}"


def with_numbers(text: str, results: Sequence[Result]) -> str:
    """The gallery with number, time and command between <!-- result:NAME --> and <!-- /result -->.

    Raises ValueError for a name that the ledger lacks.
    """
    named = {result.name: result for result in results}

    def entry(match: re.Match) -> str:
        if match[1] not in named:
            raise ValueError(f"the gallery shows {match[1]!r}, which the ledger lacks")
        result = named[match[1]]
        told = (
            f"`{result.name}`: {_leaf(result.metric)} {ARROWS[result.better]} {shown(result)}, "
            f"{_seconds(result.seconds)} s on {result.machine}"
        )
        shell = f"```\n{result.command}\n```"
        return f"<!-- result:{result.name} -->\n{told}\n\n{shell}\n<!-- /result -->"

    return re.sub(r"<!-- result:([\w.-]+) -->\n.*?<!-- /result -->", entry, text, flags=re.S)


def pages() -> dict[pathlib.Path, str]:
    """The pages that show the ledger, as they should be."""
    results = load()
    return {
        PAGE: updated(PAGE.read_text(encoding="utf-8"), results),
        GALLERY: with_numbers(GALLERY.read_text(encoding="utf-8"), results),
    }


def update_pages() -> None:
    """Writes the results of the ledger into docs/."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


def up_to_date() -> bool:
    """Whether docs/ shows the results of the ledger."""
    return all(path.read_text(encoding="utf-8") == text for path, text in pages().items())


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="only check docs/")
    commands = parser.add_subparsers(dest="action")
    add = commands.add_parser("add", help="add the result of a finished run")
    add.add_argument("name")
    add.add_argument("workdir", type=pathlib.Path)
    for field, help in {
        "metric": "path into summary.json; metrics.accuracy by default",
        "command": "of the run; made from its config by default",
        "machine": "as the page names it; the summary's device by default",
        "unit": "'%%' prints a share as per cent",
        "baseline": "results of simple methods; those of the summary by default",
        "published": "results that others report, with the source",
        "note": "printed after the command",
        "topic": "heading on the page; that of the script by default",
    }.items():
        add.add_argument(f"--{field}", help=help)
    add.add_argument("--better", choices=("higher", "lower"))
    options = parser.parse_args(argv)
    try:
        if options.action == "add":
            given = {k: v for k, v in vars(options).items() if k not in _OWN}
            results = load()
            old = next((result for result in results if result.name == options.name), None)
            new = entry_of(options.name, options.workdir, old, **given)
            save([new if result is old else result for result in results] + [new] * (old is None))
            print(f"{new.name}: {new.metric} {shown(new)}")
        elif not options.check:
            update_pages()
        elif not up_to_date():
            raise ValueError("docs/ is out of date: run python -m benchmarks.ledger")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


_OWN = ("check", "action", "name", "workdir")

if __name__ == "__main__":
    sys.exit(main())
