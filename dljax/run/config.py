"""The command line of every experiment: one frozen dataclass is both Config and flags.

    @dataclass(frozen=True, kw_only=True)
    class Config(DataConfig):
        name: ClassVar[str] = "image_classification"   # of the script
        steps = override(1200)                          # another default of a common flag
        model: str = field("lenet", "network", choices=("lenet", "resnet"))

    def main(config: Config) -> None: ...

    if __name__ == "__main__":
        run_main(main, Config, __doc__)

Nothing here imports jax, so that --help and a mistyped flag are answered at once.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import math
import numbers
import os
import re
import shlex
import shutil
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, NoReturn, TypeVar

from absl import flags

C = TypeVar("C", bound="Config")

# The groups of --help, in its order; a field of none of them stands with the experiment's own.
GROUPS = {
    "run": "The run:",
    "use": "Using what was trained:",
    "own": "This experiment:",
    "training": "Training, evaluation and devices (common to all experiments):",
    "optimizer": "Optimiser:",
}


class UsageError(ValueError):
    """A command line that can't be understood; the message is one line."""


def field(
    default: Any,
    help: str,
    *,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    path: bool = False,
    resume: bool = True,
    group: str = "own",
    formerly: str = "",
    former_values: Mapping[Any, Any] | None = None,
) -> Any:
    """One field of a Config and its flag.

    choices, minimum, maximum (both inclusive): bound the value, or each item of a tuple.
    path: may be given as `os.PathLike`, `~` is expanded, and two spellings of one file are equal.
    resume: False where a run may be continued with another value, since the trained numbers do not
      depend on it.
    group: of --help, a key of GROUPS.
    formerly: the name that the flag had before; former_values: values that it had, and their new
      names. Runs that were made with them are continued, commands are refused with the new name.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "choices": None if choices is None else tuple(choices),
            "minimum": minimum,
            "maximum": maximum,
            "path": path,
            "resume": resume,
            "group": group,
            "formerly": formerly,
            "former_values": former_values or {},
        },
    )


class Override(NamedTuple):
    """A new default, and other changes, for a field that a Config inherits."""

    default: Any
    changes: dict[str, Any]


def override(default: Any, **changes: Any) -> Any:
    """In the body of a Config: an inherited field with another default.

    changes: what else is different, as the arguments of `field` ("help", "choices", ...).
    """
    return Override(default, changes)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The flags that all experiments share; a subclass adds its own and gives its own defaults.

    name: of the script. not_served: inherited fields that it has no use for: they are no flags.
    Raises ValueError, in one line, for a value of the wrong type or out of range. A subclass that
    has to compare fields overrides `__post_init__` and calls this one first.
    """

    name: ClassVar[str] = "experiment"
    not_served: ClassVar[tuple[str, ...]] = ()

    workdir: str | None = field(
        None, "folder of the run; none: runs/SCRIPT-DATA", path=True, resume=False, group="run"
    )
    steps: int = field(1000, "training steps", minimum=1, group="run")
    seed: int = field(
        0, "first seed; the others follow it", minimum=0, maximum=2**31 - 1, group="run"
    )
    num_seeds: int = field(1, "seeds trained in one program", minimum=1, group="run")
    sweep: tuple[str, ...] = field(
        (),
        "NAME=VALUE,VALUE,...: train each value (of several names: each combination)",
        group="run",
    )
    overwrite: bool = field(
        False, "start anew in a workdir that holds a run", resume=False, group="run"
    )
    quiet: bool = field(False, "no progress on the terminal", resume=False, group="run")
    plots: bool = field(True, "draw the pictures at the end", resume=False, group="run")

    eval_every: int = field(
        0, "steps between evaluations; 0: a tenth of all", minimum=0, resume=False, group="training"
    )
    choose_by: str = field(
        "",
        "validation metric that chooses the best checkpoint, max:METRIC or min:METRIC; "
        "none: the experiment's own",
        group="training",
    )
    patience: int = field(
        0,
        "stop after so many evaluations without a better one; 0: never",
        minimum=0,
        resume=False,
        group="training",
    )
    checkpoint_every: int = field(
        0,
        "steps between checkpoints; 0: as evaluations",
        minimum=0,
        resume=False,
        group="training",
    )
    keep: int = field(
        2,
        "newest checkpoints that are kept, beside the best one",
        minimum=1,
        resume=False,
        group="training",
    )
    keep_every: int = field(
        0,
        "keep every checkpoint whose step is a multiple of this too; 0: none",
        minimum=0,
        resume=False,
        group="training",
    )
    steps_per_call: int = field(
        0,
        "steps in one dispatch; 0: chosen by the loop",
        minimum=0,
        resume=False,
        group="training",
    )
    parallel: str = field(
        "auto",
        "how to use several devices: shard the batch (data) or one replica each (pmap)",
        choices=("auto", "none", "data", "pmap"),
        resume=False,
        group="training",
    )
    vectorize_seeds: str = field(
        "auto",
        "whether the seeds on a device are computed side by side (on: vmap) or one after another",
        choices=("auto", "on", "off"),
        group="training",
        formerly="seeds_by",
        former_values={"vmap": "on", "map": "off"},
    )
    dtype: str = field(
        "float32",
        "type to compute in; parameters stay float32",
        choices=("float32", "bfloat16"),
        group="training",
    )
    on_nan: str = field(
        "stop",
        "when a loss is no longer finite: stop, or drop that seed",
        choices=("stop", "drop"),
        resume=False,
        group="training",
    )

    batch_size: int = field(128, "examples in a step", minimum=1, group="optimizer")
    learning_rate: float = field(
        1e-3, "highest learning rate of the schedule", minimum=0, group="optimizer"
    )

    def __init_subclass__(cls, **kwargs: Any):
        """Turns each `override` of the body into a field, before `dataclass` sees it."""
        super().__init_subclass__(**kwargs)
        inherited = {
            name: entry
            for base in reversed(cls.__mro__[1:])
            for name, entry in vars(base).get("__dataclass_fields__", {}).items()
        }
        for name, value in list(vars(cls).items()):
            if isinstance(value, Override):
                metadata = {**inherited[name].metadata, **value.changes}
                setattr(cls, name, dataclasses.field(default=value.default, metadata=metadata))
                cls.__annotations__[name] = inherited[name].type

    def __post_init__(self):
        validate(self)  # before the default workdir, which needs the data set as a string
        if self.workdir is None:
            object.__setattr__(self, "workdir", self.default_workdir())
        if self.choose_by and not re.fullmatch(r"(max|min):.+", self.choose_by):
            raise ValueError(
                f"choose_by is written max:METRIC or min:METRIC, not {self.choose_by!r}"
            )
        for entry in dataclasses.fields(self):
            if entry.name in self.not_served and getattr(self, entry.name) != entry.default:
                raise ValueError(f"{self.name} has no {entry.name}")

    def subject(self) -> str:
        """What is trained, in a word or two: part of the default workdir."""
        return ""

    def default_workdir(self) -> str:
        """The folder of a run that names none: one for each subject."""
        word = re.sub(r"[^\w.-]+", "_", self.subject()).strip("_.")
        return f"runs/{self.name}-{word}" if word else f"runs/{self.name}"


@dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """The flags of experiments that read a data set."""

    dataset: str = field(
        "", "embedded data set, tfds:NAME, or path of your own files", path=True, group="run"
    )
    data_dir: str | None = field(
        None, "where tfds data sets lie", path=True, resume=False, group="run"
    )

    def subject(self) -> str:
        """The data set's name, without folder, ending or the prefix tfds: or nab:."""
        name = os.fspath(self.dataset)
        if name.startswith("tfds:"):
            return name.removeprefix("tfds:")
        stem = os.path.basename(os.path.abspath(os.path.expanduser(name.removeprefix("nab:"))))
        root, ending = os.path.splitext(stem)
        return root if re.fullmatch(r"\.[A-Za-z]\w{1,4}", ending) else stem


def validate(config: Config) -> None:
    """Bring every field to its declared type, or raise a ValueError that names field and value."""
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        kind, optional, many = kind_of(type(config), entry.name)
        if value is None and optional:
            continue
        if many:
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise ValueError(f"{entry.name} must be a tuple, not {value!r}")
            result = tuple(_checked(entry, kind, item) for item in value)
        else:
            result = _checked(entry, kind, value)
        object.__setattr__(config, entry.name, result)


def _checked(entry: dataclasses.Field, kind: type, value: Any) -> Any:
    """`value` as `kind`, within the limits of the field."""
    limits = entry.metadata

    def refuse(allowed: str) -> NoReturn:
        raise ValueError(f"{entry.name} must be {allowed}, not {value!r}")

    if kind is bool:
        if not isinstance(value, bool):
            refuse("True or False")
    elif kind in (int, float):
        number = numbers.Integral if kind is int else numbers.Real
        if isinstance(value, bool) or not isinstance(value, number):
            refuse("a whole number" if kind is int else "a number")
        if not math.isfinite(value):
            refuse("finite")
        value = kind(value)
    else:
        if limits.get("path") and isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str):
            refuse("a string")
        if limits.get("path"):
            value = os.path.expanduser(value)
    choices, minimum, maximum = (limits.get(k) for k in ("choices", "minimum", "maximum"))
    if choices is not None and value in limits.get("former_values", {}):
        raise ValueError(f"{entry.name}: {value!r} is now {limits['former_values'][value]!r}")
    if choices is not None and value not in choices:
        refuse(f"one of {', '.join(map(str, choices))}")
    if minimum is not None and value < minimum:
        refuse(f"at least {minimum}")
    if maximum is not None and value > maximum:
        refuse(f"at most {maximum}")
    return value


def kind_of(config_type: type[Config], name: str) -> tuple[type, bool, bool]:
    """The scalar type of a field, whether None is allowed, and whether it is a tuple of them."""
    hint = _hints(config_type)[name]
    optional = False
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        optional = len(members) < len(typing.get_args(hint))
        hint = members[0] if len(members) == 1 else None
    many = typing.get_origin(hint) is tuple
    if many:
        members = typing.get_args(hint)
        hint = members[0] if len(members) == 2 and members[1] is Ellipsis else None
    if hint not in (bool, int, float, str) or (hint is bool and (optional or many)):
        raise TypeError(
            f"{config_type.__name__}.{name}: a flag is a bool, int, float, str, one of the last "
            "three or None, or a tuple of them"
        )
    return hint, optional, many


@functools.cache
def _hints(config_type: type[Config]) -> dict[str, Any]:
    return typing.get_type_hints(config_type)


def with_traced(config: C, values: Mapping[str, Any]) -> C:
    """`config` with values that are traced by jax in a program: those of a sweep's member.

    They have no value yet, so nothing is checked here; sweep.py has checked the numbers.
    """
    result = copy.copy(config)
    for name, value in {"sweep": (), **values}.items():
        object.__setattr__(result, name, value)
    return result


def to_json(config: Config) -> dict[str, Any]:
    """The fields as JSON values (tuples as lists); `from_json` is the inverse."""
    values = dataclasses.asdict(config)
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def from_json(config_type: type[C], values: Mapping[str, Any]) -> C:
    """A Config from the values of `to_json`, also of a version with other names.

    Raises ValueError for a value that is none of the experiment's.
    """
    values = renamed(config_type, values)
    unknown = set(values) - {entry.name for entry in dataclasses.fields(config_type)}
    if unknown:
        raise ValueError(f"not a field of this experiment: {', '.join(sorted(unknown))}")
    return config_type(**values)


def renamed(config_type: type[Config], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an older config.json under the names of today.

    What was left at its default and is no flag any more is dropped.
    """
    values = dict(values)
    for entry in dataclasses.fields(config_type):
        former, now = entry.metadata.get("formerly"), entry.metadata.get("former_values", {})
        if former in values:
            values[entry.name] = values.pop(former)
        value = values.get(entry.name)
        if now and isinstance(value, list):
            values[entry.name] = [now.get(item, item) for item in value]
        elif now and value in now:
            values[entry.name] = now[value]
    known = {entry.name for entry in dataclasses.fields(config_type)}
    return {k: v for k, v in values.items() if k in known or v not in ("", None, [], False)}


def differences(saved: Mapping[str, Any], config: Config) -> list[str]:
    """What keeps `config` from continuing the run that wrote `saved`, a line per field.

    Fields with `resume=False` are not compared; `dataset` is not either: the data itself is
    (data/fingerprint.py). A field that `saved` does not know (the code has grown since) counts as
    having had its default.
    """
    saved, now, lines = renamed(type(config), saved), to_json(config), []
    for entry in dataclasses.fields(config):
        default = list(entry.default) if isinstance(entry.default, tuple) else entry.default
        before = saved.get(entry.name, default)
        same = before == now[entry.name] or (
            entry.metadata.get("path") and same_path(before, now[entry.name])
        )
        if entry.metadata.get("resume", True) and entry.name != "dataset" and not same:
            lines.append(f"{entry.name}: {before!r} in the run, {now[entry.name]!r} now")
    lines += [f"{name}: no longer a flag" for name in saved if name not in now]
    return lines


def same_path(a: Any, b: Any) -> bool:
    """Whether two spellings name the same file or folder."""
    return bool(a and b) and os.path.realpath(a) == os.path.realpath(b)


def served(config_type: type[Config]) -> list[dataclasses.Field]:
    """The fields that are flags of an experiment."""
    return [x for x in dataclasses.fields(config_type) if x.name not in config_type.not_served]


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
        if rest:
            raise UsageError(f"unexpected argument {rest[0]!r}; a flag is written --name=value")
        fields = {name: _value(config_type, name, values[name].value) for name in names}
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
        if isinstance(value, bool):
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
    lines = [(doc or "").strip(), "", f"usage: python {program} [--flag=value ...]"]
    for name, group in groups.items():
        if group:
            lines += ["", GROUPS[name]]
        for entry in group:
            head, text = _described(config_type, entry)
            column = " " * 28
            first = f"  {head}".ljust(28)
            if len(first) > 28:
                lines.append(first)
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
    longer finite; 2 for a wrong command line; 128 + the signal for a run that was interrupted.
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
    try:
        from dljax.run.process import prepare

        prepare()
        code = run(config)
    except BaseException as error:
        code, line = explain(error, command(config, program))
        if code is None:
            raise
        if os.environ.get("DLJAX_TRACEBACK") == "1":
            sys.excepthook(type(error), error, error.__traceback__)
        print(line, file=sys.stderr)
    sys.exit(code or 0)


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
    return 1, f"error: {text} (DLJAX_TRACEBACK=1 shows where)"
