"""Runs side by side: the table, the CSV, the page, also in a browser where there is one."""

import base64
import csv
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dljax.apps.compare import compare
from dljax.apps.comparison import runs as past
from dljax.apps.comparison.page import page
from dljax.apps.configs import forecasting, image_classification
from dljax.apps.configs.compare import Config
from dljax.plots import canvas
from dljax.run import command_line
from dljax.run.config import to_json
from dljax.train import report
from dljax.train.files import write_json

HOSTILE = "<b onclick='alert(1)'>&\"$x$"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def leave(workdir: Path, config, metrics: dict[str, list[float]], **more) -> None:
    """What a run leaves in its workdir, as `session.train` does; without metrics: unfinished."""
    seeds, values = config.num_seeds, to_json(config)
    with report.Report(workdir, config.steps, quiet=True) as log:
        for step in (10, 20, 30):
            line = {n: np.linspace(1, 2, seeds) / step for n in ("train/loss", "validation/loss")}
            log.line(step, line, step / 10)
    write_json(workdir / "config.json", values)
    write_json(workdir / "metadata.json", {"experiment": config.name})
    drawn = canvas.figure(1.0, 1.0)
    drawn.add_subplot().plot(range(seeds))
    canvas.save(drawn, workdir / "plots" / "learning_curves.png")
    canvas.save(drawn, workdir / "plots" / f"{config.name}.png")
    if metrics:
        report.summary(
            workdir, experiment=config.name, config=values, dataset="digits", steps=30,
            seconds={"train": 3.0, "test": 1.0}, steps_per_second=10.0, headline=list(metrics)[:2],
            checkpoint={"step": 20, "best": True, "last": False}, commit="0123456789ab+",
            metrics={name: np.array(x) for name, x in metrics.items()},
            baselines={"chance": {"accuracy": 0.1}}, notes=["1 < 2"], **more,
        )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three runs of images, one of them a sweep and one unfinished, and one of forecasting."""
    root = tmp_path_factory.mktemp("runs")
    images = image_classification.Config
    scores = {"accuracy": [0.5, 0.7], "loss": [2.0, 1.0], "top_5": [1.0, 1.0]}
    leave(root / "run_9", images(steps=30, num_seeds=2, learning_rate=0.01), scores)
    leave(
        root / "run_10",
        images(steps=30, num_seeds=2, sweep=("learning_rate=0.1", "0.2"), model="lenet"),
        {"accuracy": [0.9, np.nan], "loss": [0.5, np.nan]},
        chosen={"learning_rate": 0.2},
    )
    leave(root / "deep" / HOSTILE, images(steps=50, num_seeds=1), {})
    leave(root / "deep" / "weather", forecasting.Config(steps=30, num_seeds=3), {"mae": [3, 4, 5]})
    (root / "empty").mkdir()
    return root


def rows(path: Path) -> list[dict[str, str]]:
    with open(path.with_suffix(".csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_csv_has_flags_that_differ_and_scores(folder, tmp_path):
    found = rows(compare(Config(runs=(str(folder),), output=tmp_path / "c.html")))
    assert [x["run"] for x in found] == [f"deep/{HOSTILE}", "deep/weather", "run_9", "run_10"]
    hostile, weather, nine, ten = found
    flags = ("sweep", "learning_rate", "model")  # not batch_size: the experiments' own differ
    assert list(nine)[2:5] == sorted(flags, key=list(nine).index) and "batch_size" not in nine
    assert [ten[x] for x in flags] == ["learning_rate=0.1,0.2", "0.2", "lenet"]
    assert (nine["learning_rate"], nine["model"], nine["sweep"]) == ("0.01", "allconv", "")
    # Student's quantile of one degree of freedom is 12.706, the standard error 0.1
    assert float(nine["accuracy mean"]) == pytest.approx(0.6)
    assert float(nine["accuracy std"]) == pytest.approx(0.02**0.5)
    assert float(nine["accuracy 95% low"]) == pytest.approx(0.6 - 1.2706, abs=1e-4)
    assert float(nine["accuracy 95% high"]) == pytest.approx(0.6 + 1.2706, abs=1e-4)
    assert (ten["accuracy mean"], ten["accuracy std"], ten["mae mean"]) == ("0.9", "", "")
    assert weather["mae mean"] == "4.0" and weather["accuracy mean"] == weather["sweep"] == ""
    assert "top_5 mean" not in nine  # beyond the headline
    assert (nine["seconds"], nine["checkpoint"]) == ("4.0", "best, step 20")
    assert hostile["checkpoint"] == "unfinished, step 30 of 50" and hostile["loss mean"] == ""


def test_the_table_is_printed(folder, tmp_path, capsys):
    paths = (str(folder / "run_9"), str(folder / "run_10"), str(folder / "run_9"))  # twice: once
    compare(Config(runs=paths, output=tmp_path / "c.html", metrics=("top_5", "accuracy")))
    lines = capsys.readouterr().out.splitlines()
    columns = [re.split("  +", line) for line in lines[:3]]
    flags = ["--sweep", "--learning_rate", "--model"]
    assert columns[0] == [
        "run", *flags, "steps", "seeds", "top_5", "accuracy", "seconds", "checkpoint"
    ]  # fmt: skip
    assert columns[1][:1] == ["run_9"] and "0.6 [-0.6706, 1.871]" in columns[1]
    assert columns[2][:1] == ["run_10"] and "0.9" in columns[2]
    assert len(lines) == 4 and str(tmp_path / "c.html") in lines[3]


@pytest.mark.parametrize(
    "names, flags, message",
    [
        ((), {}, "name workdirs of runs, or a folder of them"),
        (("empty",), {}, "empty holds no run: name workdirs of runs, or a folder of them"),
        (("run_9", "nowhere"), {}, "nowhere is no folder: name workdirs"),
        (("run_9",), {"metrics": ("auc",)}, "no run has a metric 'auc', but accuracy, loss, top_5"),
    ],
)
def test_what_holds_no_run_is_refused(folder, tmp_path, names, flags, message):
    paths = tuple(str(folder / name) for name in names)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        compare(Config(runs=paths, output=tmp_path / "c.html", **flags))
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_damaged_run_is_left_out_of_a_folder_and_refused_by_name(folder, tmp_path, capsys):
    shutil.copytree(folder / "run_9", tmp_path / "good")
    for name, text in (("torn", '{"experiment": '), ("other", '{"experiment": "x"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(text)
    found = rows(compare(Config(runs=(str(tmp_path),), output=tmp_path / "c.html")))
    assert [x["run"] for x in found] == ["good"]
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and errors[0].endswith("other/summary.json is not that of a run")
    assert "torn/summary.json is damaged" in errors[1]
    with pytest.raises(ValueError, match="torn/summary.json is damaged"):
        compare(Config(runs=(str(tmp_path / "torn"),), output=tmp_path / "d.html"))


def test_runs_of_older_code_and_of_other_experiments(folder, tmp_path):
    """A flag that they lack has its default; no headline: the first three metrics."""
    for name in ("run_9", "run_10"):
        shutil.copytree(folder / name, tmp_path / name)
    path = tmp_path / "run_9" / "summary.json"
    summary = json.loads(path.read_text())
    del summary["headline"], summary["checkpoint"], summary["config"]["model"]
    path.write_text(json.dumps(summary))
    (tmp_path / "run_9" / "metrics.jsonl").unlink()
    nine, _ = rows(compare(Config(runs=(str(tmp_path),), output=tmp_path / "c.html")))
    assert (nine["model"], nine["checkpoint"], nine["top_5 mean"]) == ("allconv", "", "1.0")
    for rate in (1, 2):
        other = {"experiment": "own", "config": {"rate": rate, "same": 3}, "metrics": {}}
        write_json(tmp_path / "own" / str(rate) / "summary.json", other)
    found = rows(compare(Config(runs=(str(tmp_path / "own"),), output=tmp_path / "d.html")))
    assert [x["rate"] for x in found] == ["1", "2"] and "same" not in found[0]


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and the text outside of style and script."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._inside = "", ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag

    def handle_data(self, data):
        self.text += data if self._inside not in ("style", "script") else ""

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    return compare(Config(runs=(str(folder),), output=tmp_path_factory.mktemp("page") / "c.html"))


def test_the_page_needs_nothing_else_and_escapes_all(written):
    text = written.read_text(encoding="utf-8")
    found = Page(text)
    links = [x for _, a in found.tags for n, x in a.items() if n in ("src", "href", "xlink:href")]
    assert links and all(x.startswith(("data:image/png;base64,", "#")) for x in links)
    assert not any(name.startswith("on") for _, a in found.tags for name in a)
    assert not found.of("b") and len(found.of("script")) == 1
    assert found.text.count(HOSTILE) >= 3  # row, legend, details
    (policy,) = (x["content"] for x in found.of("meta") if "http-equiv" in x)
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ") and f"'sha256-{digest}'" in policy


def test_the_page_shows_curves_bands_and_pictures(written):
    found = Page(written.read_text(encoding="utf-8"))
    drawn = {x["id"] for x in found.of("g") if x.get("id", "").startswith("run-")}
    # no curve is named mae or accuracy: the panels are the losses of validation and training
    lines = {f"run-{run}-line-{panel}" for run in range(4) for panel in range(2)}
    bands = {f"run-{run}-band-{panel}" for run in (1, 2, 3) for panel in range(2)}
    assert drawn == lines | bands  # run 0 has one seed
    pictures = [x["alt"].partition(" of ")[::2] for x in found.of("img")]
    images = ["deep/" + HOSTILE, "run_9", "run_10"]
    assert pictures == [
        *(("image_classification.png", name) for name in images),
        ("forecasting.png", "deep/weather"),
        *(("learning_curves.png", name) for name in (images[0], "deep/weather", *images[1:])),
    ]
    assert "validation/loss" in found.text and "baseline chance: accuracy 0.1" in found.text
    assert "1 < 2" in found.text and "commit of dljax: 0123456789ab+" in found.text


def test_pictures_beyond_the_limit_are_named(folder):
    runs = past.read([str(folder)], warn=print)
    size = sum(run.pictures["image_classification.png"].stat().st_size for run in runs[::2])
    size += runs[3].pictures["image_classification.png"].stat().st_size
    text, left_out = page(runs, ["loss"], "seconds", size)
    assert left_out == ["forecasting.png", "learning_curves.png"]
    found = Page(text)
    assert len(found.of("img")) == 3 and "forecasting.png, learning_curves.png" in found.text
    assert "seconds" in found.text and page(runs, ["loss"], "step", 0)[0].count("<img") == 0


def test_the_words_of_the_command_line_are_the_runs():
    config = command_line.parse(
        Config, ["compare", "a", "--axis=seconds", "b/c", "--output=~/x.html"]
    )
    assert config.runs == ("a", "b/c") and config.axis == "seconds"
    again = command_line.command(config, "-m experiments.compare")
    assert again.startswith("python -m experiments.compare a b/c --output=/")
    with pytest.raises(command_line.UsageError, match="output must end in .html, not 'x.csv'"):
        command_line.parse(Config, ["compare", "a", "--output=x.csv"])
    text = command_line.help_text(Config, "", "-m experiments.compare")
    assert "usage: python -m experiments.compare RUNS ... [--flag=value ...]" in text
    assert "  RUNS: workdirs, or folders that hold some" in text and "--runs" not in text


CLICKS = """
const shown = [];
const order = () => Array.from(document.querySelectorAll("#runs tbody tr"),
                               row => row.dataset.run).join("");
const heads = Array.from(document.querySelectorAll("#runs th button"));
const click = name => heads.find(x => x.textContent === name).click();
for (const name of ["accuracy", "accuracy", "run", "mae"]) { click(name); shown.push(order()); }
const curve = document.getElementById("run-2-line-0"), box = curve.getBoundingClientRect();
shown.push(box.width > 50 && box.height > 20 ? "drawn" : "not drawn");
document.querySelector("input[data-run='2']").click();
shown.push(getComputedStyle(curve).display);
window.addEventListener("load", () => {
  const whole = Array.from(document.images).every(x => x.naturalWidth === 100);
  shown.push(whole ? "decoded" : "broken");
  document.title = "RESULT " + shown.join(" ");
});
"""


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
def test_the_page_in_a_browser(written, tmp_path):
    """Sorts, draws, hides, decodes, and says nothing on the console."""
    text = written.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(CLICKS.encode()).digest()).decode()
    text = text.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    (tmp_path / "c.html").write_text(text.replace("</body>", f"<script>{CLICKS}</script></body>"))
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--dump-dom",
            f"file://{tmp_path / 'c.html'}",
        ],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if "ERR_FILE_NOT_FOUND" in done.stdout or "ERR_ACCESS_DENIED" in done.stdout:
        pytest.skip("the browser may not read temporary files (a snap)")
    assert "CONSOLE" not in done.stderr, done.stderr
    (result,) = re.findall(r"<title>RESULT (.*)</title>", done.stdout)
    # 0 hostile (unfinished), 1 weather, 2 run_9, 3 run_10; empty cells are last either way
    assert result.split() == ["2301", "3201", "0123", "1023", "drawn", "none", "decoded"]
