"""The page that shows runs side by side: one HTML file that needs nothing else.

All text is escaped; a Content-Security-Policy lets the browser load nothing and run no script but
the one below.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from dljax import plots
from dljax.apps.comparison.runs import PastRun
from dljax.apps.comparison.table import Cell, cells

CURVES = "learning_curves.png"
PARTS = ("validation", "train", "")
TYPES = {".png": "image/png", ".gif": "image/gif"}

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
h2 { margin: 1.6em 0 .5em; font-size: 1.2em }
h3 { margin: 1em 0 .3em; font-size: 1em }
.wide { overflow-x: auto }
table { border-collapse: collapse }
th, td { padding: .3em .7em; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums }
th button { font: inherit; font-weight: 600; border: 0; padding: 0; background: none }
button, label { cursor: pointer }
th[aria-sort=ascending] button::after { content: " ↑" }
th[aria-sort=descending] button::after { content: " ↓" }
svg.line { width: 30px; height: 8px; vertical-align: middle; margin: 0 .4em }
label { white-space: nowrap; margin-right: 1.2em; display: inline-block }
.curves > svg { width: auto; height: auto; max-width: 100% }
.pictures { display: flex; gap: 1em; overflow-x: auto; align-items: flex-start }
figure { margin: 0; flex: none }
figure img { max-width: min(460px, 90vw); display: block; cursor: zoom-in; border: 1px solid #ddd }
figure img.whole { max-width: none; cursor: zoom-out }
pre { background: #f5f5f5; padding: .6em; overflow-x: auto; margin: .4em 0 }
.gone { opacity: .35 }
"""

SCRIPT = """
"use strict";
const body = document.querySelector("#runs tbody");
document.querySelectorAll("#runs th").forEach((head, column) => head.onclick = () => {
  const down = head.getAttribute("aria-sort") === "ascending";
  document.querySelectorAll("#runs th").forEach(x => x.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.children[column].dataset.key;
  const order = (a, b) => isNaN(a) || isNaN(b) ? a.localeCompare(b, "en", {numeric: true}) : a - b;
  const rows = Array.from(body.rows);
  const known = rows.filter(row => key(row) !== "");
  known.sort((a, b) => down ? order(key(b), key(a)) : order(key(a), key(b)));
  body.append(...known, ...rows.filter(row => key(row) === ""));
});
document.querySelectorAll("input[data-run]").forEach(box => box.onchange = () => {
  const run = box.dataset.run;
  document.querySelectorAll(`[id^="run-${run}-"], figure[data-run="${run}"]`).forEach(
    x => x.style.display = box.checked ? "" : "none");
  body.querySelector(`[data-run="${run}"]`).classList.toggle("gone", !box.checked);
});
document.querySelectorAll("figure img").forEach(
  x => x.onclick = () => x.classList.toggle("whole"));
"""


def page(
    runs: Sequence[PastRun], metrics: Sequence[str], axis: str, max_bytes: float
) -> tuple[str, list[str]]:
    """The HTML, and the names of pictures that are left out since all would be over `max_bytes`.

    metrics: those of the table and the curves. axis: of the curves, "step" or "seconds".
    """
    allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{allowed}'"
    )
    shown, left_out = chosen_pictures(runs, max_bytes)
    header, table = cells(runs, metrics)
    parts = [
        f"<h1>{_count(len(runs), 'run')}</h1>",
        _table(header, table),
        "<p>Scores are those of the test part: the mean over seeds and, of several seeds, "
        "Student's 95&nbsp;% interval of that mean in brackets. A click on a heading sorts.</p>",
        "<h2>Learning curves</h2>",
        _curves(runs, metrics, axis),
        "<h2>Pictures</h2>",
        *(_pictures(name, runs) for name in shown),
        _left_out(left_out, max_bytes),
        "<h2>Each run</h2>",
        *map(_details, runs),
    ]
    title, lines = ", ".join(run.name for run in runs[:5]), "\n".join(parts)
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{lines}
<script>{SCRIPT}</script>
</body>
</html>
"""
    return text, left_out


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"


def _table(header: Sequence[str], table: Sequence[Sequence[Cell]]) -> str:
    columns = zip(header, zip(*table, strict=True), strict=True)
    head = "".join(
        f"<th{_kind(*column)}><button>{escape(name)}</button></th>" for name, column in columns
    )
    body = ""
    for run, row in enumerate(table):
        line = "".join(map(_cell, row)).replace(">", f">{_swatch(run)}", 1)
        body += f'<tr data-run="{run}">{line}</tr>\n'
    return (
        f'<div class="wide"><table id="runs"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    return f'<td{_kind(cell)} data-key="{escape(str(cell.key))}">{escape(cell.text)}</td>'


def _kind(*cells: Cell) -> str:
    """The attribute of what is written to the right: numbers."""
    return "" if all(isinstance(cell.key, str) for cell in cells) else ' class="number"'


def _swatch(run: int) -> str:
    """The line of a run's curves."""
    colour, dashes = plots.comparison.style(run)
    return (
        f'<svg class="line"><line x1="0" y1="4" x2="30" y2="4" stroke="{colour}" stroke-width="2" '
        f'stroke-dasharray="{" ".join(map(str, dashes)) or "none"}"/></svg>'
    )


def _curves(runs: Sequence[PastRun], metrics: Sequence[str], axis: str) -> str:
    """The curves of the metrics, those of the validation part first, under their legend."""
    panels: dict[str, dict[int, plots.comparison.Curve]] = {}
    for metric in metrics:
        for part in PARTS:
            name = f"{part}/{metric}" if part else metric
            drawn = {i: _curve(run, name, axis) for i, run in enumerate(runs) if name in run.curves}
            if drawn:
                panels[name] = drawn
    if not panels:
        return "<p>There are none of these metrics.</p>"
    legend = "".join(
        f'<label><input type="checkbox" data-run="{i}" checked>{_swatch(i)}{escape(run.name)}'
        "</label>"
        for i, run in enumerate(runs)
    )
    return (
        f"<p>{legend}</p>\n<p>The mean over seeds; the band goes from the smallest to the largest "
        f'seed.</p>\n<div class="curves wide">{plots.comparison.curves(panels, axis)}</div>'
    )


def _curve(run: PastRun, name: str, axis: str) -> plots.comparison.Curve:
    steps, values = run.curves[name]
    x = np.array([run.seconds[step] for step in steps.tolist()]) if axis == "seconds" else steps
    return x, values


def chosen_pictures(runs: Sequence[PastRun], max_bytes: float) -> tuple[list[str], list[str]]:
    """The names of pictures that fit, and of those that don't.

    A name is shown of all runs or of none. First come the pictures that the most runs have, last
    the learning curves, which are drawn over each other above.
    """
    names = {name for run in runs for name in run.pictures}
    owners = {name: [run for run in runs if name in run.pictures] for name in names}
    shown, left_out, total = [], [], 0
    for name in sorted(names, key=lambda x: (x == CURVES, -len(owners[x]), x)):
        size = sum(run.pictures[name].stat().st_size for run in owners[name])
        if total + size <= max_bytes:
            shown.append(name)
            total += size
        else:
            left_out.append(name)
    return shown, left_out


def _pictures(name: str, runs: Sequence[PastRun]) -> str:
    figures = []
    for i, run in enumerate(runs):
        if path := run.pictures.get(name):
            figures.append(
                f'<figure data-run="{i}"><figcaption>{_swatch(i)}{escape(run.name)}</figcaption>'
                f'<img alt="{escape(f"{name} of {run.name}")}" src="{_data_uri(path)}"></figure>'
            )
    title = escape(Path(name).stem.replace("_", " "))
    return f'<h3>{title}</h3>\n<div class="pictures">{"".join(figures)}</div>'


def _data_uri(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f"data:{TYPES[path.suffix]};base64,{data}"


def _left_out(names: Sequence[str], max_bytes: float) -> str:
    if not names:
        return ""
    return (
        f"<p>Left out, since all pictures of the page may have {max_bytes / 1e6:g} MB "
        f"(--max_megabytes): {escape(', '.join(names))}.</p>"
    )


def _details(run: PastRun) -> str:
    """How a run was made, and what it said at its end."""
    summary = run.summary
    facts = {
        "workdir": run.workdir,
        "data": summary.get("dataset"),
        "device": summary.get("device"),
        "commit of dljax": summary.get("commit"),
        "checkpoint that is scored": run.status(),
    }
    lines = [f"<li>{escape(f'{name}: {x}')}</li>" for name, x in facts.items() if x]
    lines += [
        f"<li>{escape(f'baseline {name}: {_numbers(values)}')}</li>"
        for name, values in summary.get("baselines", {}).items()
    ]
    lines += [f"<li>{escape(str(line))}</li>" for line in summary.get("notes", ())]
    command = summary.get("command")
    shell = f"<pre>{escape(command)}</pre>" if command else ""
    return (
        f"<details><summary>{escape(run.name)}: {escape(run.experiment)}</summary>{shell}"
        f"<ul>{''.join(lines)}</ul></details>"
    )


def _numbers(values: Any) -> str:
    if not isinstance(values, Mapping):
        return str(values)
    known = {name: x for name, x in values.items() if isinstance(x, int | float)}
    return ", ".join(f"{name} {x:.4g}" for name, x in known.items())
