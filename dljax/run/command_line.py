"""The command line of every experiment: flags from its Config, help, errors, exit codes.

    def main(config: Config) -> None: ...

    if __name__ == "__main__":
        run_main(main, Config, __doc__)

Nothing here imports jax before a command line was understood.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import shlex
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from absl import flags

from dljax.run.config import C, Config, kind_of, positional, served

# The groups of --help, in its order; a field of none of them stands with the experiment's own.
GROUPS = {
    "run": "The run:",
    "use": "Using what was trained:",
    "own": "This experiment:",
    "training": "Training, evaluation and devices (common to all experiments):",
    "optimizer": "Optimiser:",
}


# Flags each of which takes the place of training.
USES = (
    "predict", "evaluate", "prompt", "score", "stream", "enroll", "identify", "verify", "remove",
)  # fmt: skip


class UsageError(ValueError):
    """A command line that can't be understood; the message is one line."""


def define_flags(config_type: type[Config]) -> flags.FlagValues:
    """absl flags of the fields, in a FlagValues of their own (the global FLAGS stay untouched)."""
    result = flags.FlagValues()
    for entry in served(config_type):
        kind, _, many = kind_of(config_type, entry.name)
        define = {
            bool: flags.DEFINE_bool,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }[kind]
        default = entry.default
        if many:
            define, default = flags.DEFINE_list, [str(item) for item in entry.default]
        define(entry.name, default, entry.metadata.get("help", ""), flag_values=result)
    return result


def parse(config_type: type[C], argv: Sequence[str]) -> C:
    """A Config from a command line whose first word is the program; UsageError if it is wrong."""
    values = define_flags(config_type)
    values.set_gnu_getopt(True)
    names = [entry.name for entry in served(config_type)]
    formerly = {
        entry.metadata["formerly"]: entry.name
        for entry in served(config_type)
        if entry.metadata.get("formerly")
    }
    try:
        rest = values(list(argv))[1:]
        words = positional(config_type)
        if rest and not words:
            raise UsageError(f"unexpected argument {rest[0]!r}; a flag is written --name=value")
        _check_uses(_uses(config_type, values))
        fields = {name: _value(config_type, name, values[name].value) for name in names}
        if words:
            fields[words.name] = _value(config_type, words.name, rest)
        return config_type(**fields)
    except flags.UnrecognizedFlagError as error:
        spoken = error.flagname.split("=")[0].lstrip("-")
        if spoken in formerly:
            raise UsageError(f"--{spoken} is now --{formerly[spoken]}") from None
        near = difflib.get_close_matches(spoken, names, n=1) or difflib.get_close_matches(
            spoken.replace("-", "_").removeprefix("no"), names, n=1
        )
        hint = f"; did you mean --{near[0]}?" if near else ""
        raise UsageError(f"unknown flag --{spoken}{hint}") from None
    except (flags.Error, ValueError) as error:
        raise UsageError(" ".join(str(error).split())) from None


def _uses(config_type: type[Config], values: flags.FlagValues) -> dict[str, str]:
    """The flags for using a trained model that are given and are texts, or lists of them."""
    names = [entry.name for entry in served(config_type) if entry.metadata.get("group") == "use"]
    given = {name: values[name].value for name in names if values[name].present}
    joined = {name: ",".join(x) if isinstance(x, list) else x for name, x in given.items()}
    return {name: value for name, value in joined.items() if isinstance(value, str)}


def _check_uses(given: Mapping[str, str]) -> None:
    """Refuses an empty one, as an unset variable of a shell leaves it, and two in one's place."""
    for name, value in given.items():
        if value == "":
            raise UsageError(f"--{name} is empty: give it a value, or leave it out to train")
    together = [f"--{name}" for name in given if name in USES]
    if len(together) > 1:
        raise UsageError(f"{' and '.join(together)} do not go together: give one of them")


def _value(config_type: type[Config], name: str, value: Any) -> Any:
    """The value of an absl flag as the Config wants it."""
    kind, optional, many = kind_of(config_type, name)
    if many:
        try:
            return tuple(kind(item) for item in value)
        except ValueError:
            raise ValueError(f"{name} must be numbers with commas between, not {value}") from None
    return None if optional and value == "" else value


def command(config: Config, program: str) -> str:
    """The shell command that runs, or goes on with, this very configuration (never --overwrite)."""
    words = ["python", *shlex.split(program)]
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if entry.name == "overwrite" or value == entry.default:
            continue
        unnamed = entry.name == "workdir" and entry.default is None
        if unnamed and value == config.default_workdir():
            continue
        if entry.metadata.get("positional"):
            words += map(str, value)
        elif isinstance(value, bool):
            words.append(f"--{'' if value else 'no'}{entry.name}")
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else value
            words.append(f"--{entry.name}={'' if text is None else text}")
    return shlex.join(words)


def help_text(config_type: type[Config], doc: str | None, program: str) -> str:
    """What --help prints: the script's docstring, its own flags, the common flags."""
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    groups: dict[str, list[dataclasses.Field]] = {name: [] for name in GROUPS}
    for entry in served(config_type):
        groups[entry.metadata.get("group", "own")].append(entry)
    first = ("workdir", "dataset", "env", "steps", "total_steps")
    groups["run"].sort(key=lambda x: first.index(x.name) if x.name in first else len(first))
    words = positional(config_type)
    usage = f"usage: python {program} {f'{words.name.upper()} ... ' if words else ''}"
    lines = [(doc or "").strip(), "", f"{usage}[--flag=value ...]"]
    if words:
        lines += ["", f"  {words.name.upper()}: {words.metadata['help']}"]
    for name, group in groups.items():
        if group:
            lines += ["", GROUPS[name]]
        for entry in group:
            head, text = _described(config_type, entry)
            column = " " * 28
            first = f"  {head} ".ljust(28)
            if len(first) > 28:
                lines.append(first.rstrip())
                first = column
            lines.append(textwrap.fill(text, width, initial_indent=first, subsequent_indent=column))
    return "\n".join(lines).strip()


def _described(config_type: type[Config], entry: dataclasses.Field) -> tuple[str, str]:
    """How a flag is written, and its help with default and limits."""
    kind, _, many = kind_of(config_type, entry.name)
    choices, minimum, maximum = (entry.metadata.get(k) for k in ("choices", "minimum", "maximum"))
    if kind is bool:
        head = f"--[no]{entry.name}"
    else:
        head = f"--{entry.name}={kind.__name__.upper()}{',...' if many else ''}"
    default = ",".join(map(str, entry.default)) if many else entry.default
    if entry.name == "workdir" and default is None:
        default = config_type().default_workdir()
    notes = [f"default {'none' if default in (None, '') else default}"]
    if choices is not None:
        notes.append(f"one of {', '.join(map(str, choices))}")
    if minimum is not None and maximum is not None:
        notes.append(f"{minimum} to {maximum}")
    elif minimum is not None:
        notes.append(f"at least {minimum}")
    elif maximum is not None:
        notes.append(f"at most {maximum}")
    return head, f"{entry.metadata.get('help', '')} [{'; '.join(notes)}]"


def run_main(
    run: Callable[[Any], int | None],
    config_type: type[Config],
    doc: str | None,
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Read the command line (sys.argv by default), call `run(config)`, and exit.

    Exit codes: 0 or what `run` returns; 1 for a ValueError, OSError or a training that is no
    longer finite; 2 for a wrong command line (UsageError, also if `run` finds it so); 128 + the
    signal for a run that was interrupted; 75 in the others of several processes where one is gone
    or never came, to be started again.
    Errors are one line on stderr, with a traceback too if DLJAX_TRACEBACK=1. Any other exception is
    a defect and keeps its traceback.
    """
    argv = sys.argv if argv is None else argv
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"-m {spec.name}" if spec is not None else shlex.quote(argv[0])
    if any(word in ("--help", "-h", "-help", "--helpfull", "--helpshort") for word in argv[1:]):
        _print_help(help_text(config_type, doc, program))
        sys.exit(0)
    try:
        config = parse(config_type, argv)
    except UsageError as error:
        print(f"error: {error} (--help lists the flags)", file=sys.stderr)
        sys.exit(2)
    again = command(config, program)
    try:
        with _without_ctrl_c():
            from dljax.run import process, processes
        process.prepare()
        processes.advise(lambda: _go_on(config, again))
        code = run(config)
    except BaseException as error:
        code, line = explain(error, again)
        several = sys.modules.get("dljax.run.processes")
        if several:
            several.wait_for_reason(error)
        if code is not None:
            if os.environ.get("DLJAX_TRACEBACK") == "1":
                sys.excepthook(type(error), error, error.__traceback__)
            print(line, file=sys.stderr)
        if several:
            several.end_others(error, code, line)
        if code is None:
            raise
    sys.exit(code or 0)


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Ctrl-C waits, for in the midst of jaxlib's import it crashes the process or is lost."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _go_on(config: Config, again: str) -> str:
    """What is left where a process has gone, and how to go on."""
    names = [path.name for path in Path(config.workdir, "checkpoints").glob("*")]
    steps = [int(name) for name in names if name.isdigit()]
    kept = f"the checkpoint of step {max(steps)} is kept" if steps else "there is no checkpoint yet"
    return f"{kept}; start all processes again with: {again}"


def _print_help(text: str) -> None:
    """Prints it all, or as much as the reader of a pipe (head, a pager) takes."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explain(error: BaseException, again: str) -> tuple[int | None, str]:
    """Exit code and the line to print for an exception; code None for what is not ours to explain.

    `again` is the command that continues the run.
    """
    # Only a loop that has been imported can have raised its own errors: no need to import it here.
    loop = sys.modules.get("dljax.train.loop")
    if loop is not None and isinstance(error, loop.Interrupted):
        return 128 + error.signum, f"{error}; go on with: {again}" if error.saved else str(error)
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    expected = (ValueError, OSError, *((loop.NotFinite,) if loop is not None else ()))
    if not isinstance(error, expected):
        return None, ""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror + (f": {error.filename}" if error.filename else "")
    text = " ".join(text.split()) or type(error).__name__
    if isinstance(error, UsageError):
        return 2, f"error: {text} (--help lists the flags)"
    return 1, f"error: {text} (DLJAX_TRACEBACK=1 shows where)"
