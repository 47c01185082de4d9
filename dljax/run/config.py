"""The Config of every experiment: one frozen dataclass, whose fields are the flags too.

    @dataclass(frozen=True, kw_only=True)
    class Config(DataConfig):
        name: ClassVar[str] = "image_classification"   # of the script
        steps = override(1200)                          # another default of a common flag
        model: str = field("lenet", "network", choices=("lenet", "resnet"))

command_line.py makes flags of it. Nothing here imports jax, so that --help and a mistyped flag are
answered at once.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import numbers
import os
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, NoReturn, TypeVar

C = TypeVar("C", bound="Config")


def field(
    default: Any,
    help: str,
    *,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    path: bool = False,
    positional: bool = False,
    resume: bool = True,
    group: str = "own",
    formerly: str = "",
    former_values: Mapping[Any, Any] | None = None,
) -> Any:
    """One field of a Config and its flag.

    choices, minimum, maximum (both inclusive): bound the value, or each item of a tuple.
    path: may be given as `os.PathLike`, `~` is expanded, and two spellings of one file are equal.
    positional: the words of the command line that are no flags, for a tuple.
    resume: False where a run may be continued with another value, since the trained numbers do not
      depend on it.
    group: of --help, a key of command_line.GROUPS.
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
            "positional": positional,
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
    wandb: str = field(
        "",
        "project of Weights & Biases (wandb.ai) to log to as well; none: none",
        resume=False,
        group="run",
    )

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
        "how to use several devices: shard the batch (data), the state too (fsdp), or one replica "
        "each (pmap)",
        choices=("auto", "none", "data", "fsdp", "pmap"),
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
    convolution: str = field(
        "xla",
        "what computes convolutions on a CPU: XLA, or C++ that a compiler makes at its first use",
        choices=("xla", "native"),
        resume=False,
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
        if not name or name.startswith("tfds:"):
            return name.removeprefix("tfds:")
        stem = os.path.basename(os.path.abspath(os.path.expanduser(name.removeprefix("nab:"))))
        root, ending = os.path.splitext(stem)
        return root if re.fullmatch(r"\.[A-Za-z]\w{1,4}", ending) else stem


def of_kind(config: C, kind: str, flags: Mapping[str, type[Config]], tuned: Mapping[str, Any]) -> C:
    """The Config of an experiment whose data decides its kind, those of its flags tuned that are
    none or 0.

    flags: kind -> the fields that it alone has. Raises ValueError, in one line, for a flag of
    another kind, which would have no effect.
    """
    own = {entry.name for entry in dataclasses.fields(flags[kind])}
    for other in flags.values():
        for entry in dataclasses.fields(other):
            if entry.name not in own and getattr(config, entry.name) != entry.default:
                raise ValueError(
                    f"--{entry.name} has no effect on {config.dataset}, which is for {kind}: leave "
                    "it out"
                )
    return dataclasses.replace(config, **{k: v for k, v in tuned.items() if not getattr(config, k)})


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


def positional(config_type: type[Config]) -> dataclasses.Field | None:
    """The field that takes the words of the command line that are no flags, if there is one."""
    words = (x for x in dataclasses.fields(config_type) if x.metadata.get("positional"))
    return next(words, None)


def served(config_type: type[Config]) -> list[dataclasses.Field]:
    """The fields that are flags of an experiment."""
    words = positional(config_type)
    entries = (x for x in dataclasses.fields(config_type) if x is not words)
    return [x for x in entries if x.name not in config_type.not_served]
