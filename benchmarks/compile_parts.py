"""What compiling each default experiment consists of: tracing, lowering, XLA; how large it is.

    python -m benchmarks.compile_parts [--workdir=DIR] [--only=NAME,NAME]

Runs `python -m experiments.NAME --steps=20` in a process of its own with an empty folder for
compiled programs. Seconds are those of all programs together; XLA's may overlap the others, since
the first weights' program is compiled beside. Instructions and convolutions (XLA's or native) are
those of what XLA made of the loop's own programs: start, steps, evaluations. --only: the
experiments whose name holds one of these words. Prints a table; --workdir gets summary.json.
"""

from __future__ import annotations

import collections
import importlib
import json
import re
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import contest
from benchmarks.compile import ROOT, SHORT, experiments, parser
from dljax.run import process
from dljax.run.command_line import parse
from dljax.train import compilation, report

EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "xla",
}
INSTRUCTION = re.compile(r"^ +(?:ROOT )?%?[\w.-]+ = .*? ([a-z][\w-]*)\(", re.M)
NATIVE = re.compile(r'custom_call_target="dljax_')


class Parts(NamedTuple):
    """trace, lower, xla: seconds of all programs; programs: how many XLA compiled. instructions,
    convolutions: of the loop's own."""

    trace: float
    lower: float
    xla: float
    programs: int
    instructions: int
    convolutions: int


def inside(name: str, folder: str) -> None:
    """Runs an experiment in this process, and writes its Parts to folder/parts.json."""
    seconds, counts, made = collections.Counter(), collections.Counter(), []

    def listen(event: str, duration: float, **_: object) -> None:
        if event in EVENTS:
            seconds[EVENTS[event]] += duration
            counts[EVENTS[event]] += 1

    create = compilation.Program.__init__

    def remember(program: compilation.Program, *args: object, **settings: object) -> None:
        made.append(program)
        create(program, *args, **settings)

    jax.monitoring.register_event_duration_secs_listener(listen)
    compilation.Program.__init__ = remember
    script = importlib.import_module(f"experiments.{name}")
    process.prepare()
    script.main(parse(script.Config, [name, f"--workdir={folder}/run", *SHORT]))
    texts = [program.text() for program in made if program.seconds]
    kinds = collections.Counter(kind for text in texts for kind in INSTRUCTION.findall(text))
    convolutions = kinds["convolution"] + sum(len(NATIVE.findall(text)) for text in texts)
    found = Parts(
        **seconds,
        programs=counts["xla"],
        instructions=kinds.total(),
        convolutions=convolutions,
    )
    Path(folder, "parts.json").write_text(json.dumps(found))


def parts(name: str) -> Parts:
    """Of the first start of an experiment; SystemExit where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        text = f"from benchmarks.compile_parts import inside; inside({name!r}, {folder!r})"
        contest.used(["-c", text], ROOT, JAX_COMPILATION_CACHE_DIR=f"{folder}/programs")
        return Parts(*json.loads(Path(folder, "parts.json").read_text()))


def main() -> None:
    flags = parser(__doc__.splitlines()[0]).parse_args()
    begin = time.perf_counter()
    found = {name: parts(name) for name in experiments(flags.only)}
    rows = [(name, *(f"{x:.1f}" for x in x[:3]), *map(str, x[3:])) for name, x in found.items()]
    head = ("experiment", "trace, s", "lower, s", "XLA, s", "programs", "instructions")
    print(contest.table((*head, "convolutions"), rows))
    metrics = {
        f"{name}: {part}": np.array([value])
        for name, x in found.items()
        for part, value in x._asdict().items()
    }
    contest.finish("compile_parts", flags.workdir, {"only": flags.only}, metrics, begin)
    print(report.device_name())


if __name__ == "__main__":
    main()
