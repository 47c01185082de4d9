"""Reads a pickle as data, and runs nothing: a stack machine without functions to call.

A pickle is a program. Python's own reader runs it: it imports what the program names and calls it,
so a file of weights can run any code. Here the program is interpreted opcode by opcode
(`pickletools.genops`, which only parses) and everything that could run code is either refused by
name or becomes plain data: a global is a `Name`, and "call this" is allowed for the few names that
the caller gives a meaning of its own. Nothing is imported, no attribute is looked up or set.

Objects of other classes, as stand beside weights (arguments, hyper-parameters, numpy's scalars),
are not built either: a `Thing` with the name of the class stands in the place of each, whatever
was to be done with it. Names from modules that reach the system are refused even so.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple


class Name(NamedTuple):
    """A global that a pickle mentions: never imported, only compared."""

    path: str


class Thing(NamedTuple):
    """An object that was not built, by the name of its class or of what was to be called."""

    path: str


class Refused(ValueError):
    """The pickle holds something else than data."""


SYSTEM = frozenset(  # modules that no weights need; a pickle that names them is an attack
    (
        *("os", "posix", "nt", "subprocess", "sys", "io", "_io", "importlib", "imp", "shutil"),
        *("socket", "ctypes", "pty", "runpy", "webbrowser", "multiprocessing", "asyncio"),
        *("pickle", "_pickle", "cPickle", "marshal", "shelve", "tempfile", "pip", "pdb", "timeit"),
        "commands",  # what subprocess was in Python 2, by whose names pickles go
    )
)
BUILTINS = ("builtins", "__builtin__", "__builtins__")
PLAIN = frozenset(  # of the builtins, the classes of data
    (
        *("set", "frozenset", "list", "dict", "tuple", "object", "bytearray", "bytes", "complex"),
        *("slice", "range", "int", "float", "str", "bool", "long", "unicode"),
    )
)
LOADERS = ("torch.storage._load_from_bytes", "torch.load", "torch.hub", "numpy.load")

MARK = object()  # what MARK puts on the stack

CONSTANTS = {
    "NONE": None, "NEWTRUE": True, "NEWFALSE": False,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict,
}  # fmt: skip
LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
NOTHING = {"PROTO", "FRAME"}
OBJECTS = {
    *("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EMPTY_SET", "ADDITEMS", "FROZENSET", "BYTEARRAY8"),
    *("DUP", "POP_MARK"),
}


def load(
    file: BinaryIO,
    calls: Mapping[str, Callable[..., Any]],
    names: frozenset[str] = frozenset(),
    persistent: Callable[[Any], Any] | None = None,
    things: bool = False,
) -> Any:
    """The object of the pickle that begins here; the file is left behind its end.

    calls: our own function for each global that may be called, by its dotted name; the pickle's
        arguments are passed to no others. names: globals that may be mentioned and not called.
    persistent: what an identifier of something outside the pickle stands for.
    things: other objects become a `Thing`, but for those from SYSTEM and the like.
    Raises Refused, with the name, for any other global and for what builds objects; ValueError for
    a pickle that is damaged.
    """
    machine = _Machine(calls, names, persistent, things)
    try:
        for opcode, argument, _ in pickletools.genops(file):
            machine.do(opcode.name, argument)
        (result,) = machine.stack
    except Refused:
        raise
    except Exception as error:  # the many ways in which a damaged program does not fit together
        raise ValueError(f"its pickle is damaged ({line(error)})") from error
    return result


class _Machine:
    def __init__(self, calls, names, persistent, things):
        self.calls, self.names, self.persistent, self.things = calls, names, persistent, things
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """One opcode; the stack changes as the standard library documents it."""
        stack = self.stack
        if name in LITERALS:
            stack.append(argument)
        elif name in CONSTANTS:
            value = CONSTANTS[name]
            stack.append(value() if callable(value) else value)
        elif name == "MARK":
            stack.append(MARK)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(self.values(stack[-count:], count))]
        elif name in ("TUPLE", "LIST", "DICT"):
            items = self.marked()
            stack.append({"TUPLE": tuple, "LIST": list, "DICT": _pairs}[name](items))
        elif name in ("APPEND", "APPENDS"):
            items = self.marked() if name == "APPENDS" else [stack.pop()]
            if not isinstance(stack[-1], Thing):
                _only(stack[-1], list).extend(self.values(items, len(items)))
        elif name in ("SETITEM", "SETITEMS"):
            items = self.marked() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            if not isinstance(stack[-1], Thing):
                _only(stack[-1], dict).update(_pairs(items))
        elif name == "POP":
            stack.pop()
        elif self.things and name in OBJECTS:
            self.object(name, argument)
        elif name == "GLOBAL":
            stack.append(self.known(".".join(argument.split(" ", 1))))
        elif name == "STACK_GLOBAL":
            module, attribute = _only(stack.pop(-2), str), _only(stack.pop(), str)
            stack.append(self.known(f"{module}.{attribute}"))
        elif name == "REDUCE":
            arguments, function = _only(stack.pop(), tuple), stack.pop()
            stack.append(self.call(function, arguments))
        elif name == "BUILD":
            self.build(stack.pop())
        elif name == "BINPERSID" and self.persistent is not None:
            stack.append(self.persistent(stack.pop()))
        elif name not in (*NOTHING, "STOP"):
            raise Refused(f"it holds the opcode {name}, which data does not need")

    def known(self, path: str) -> Name:
        if path not in self.calls and path not in self.names:
            if not self.things:
                raise Refused(f"it names {path[:100]!r}, which is no tensor, dictionary or number")
            *modules, last = path.split(".")
            plain = modules == modules[:1] and modules[0] in BUILTINS and last in PLAIN
            bad = {*SYSTEM, *BUILTINS} & set(modules) or path.startswith(LOADERS)
            if bad and not plain:
                raise Refused(f"it names {path[:100]!r}, which has no place in a file of weights")
        return Name(path)

    def object(self, name: str, argument: Any) -> None:
        """The opcodes that build objects: a Thing in the place of each."""
        stack = self.stack
        if name == "ADDITEMS":
            self.marked()
        elif name in ("EMPTY_SET", "FROZENSET", "BYTEARRAY8"):
            if name == "FROZENSET":
                self.marked()
            stack.append(Thing("builtins.set" if name == "EMPTY_SET" else name.lower()))
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "POP_MARK":
            self.marked()
        elif name == "INST":
            self.marked()
            stack.append(self.thing(self.known(".".join(argument.split(" ", 1)))))
        elif name == "OBJ":
            stack.append(self.thing(self.marked()[0]))
        else:  # NEWOBJ, NEWOBJ_EX
            count = 2 if name == "NEWOBJ" else 3
            kind, *_ = self.values(stack[-count:], count)
            stack[-count:] = [self.thing(kind)]

    def strange(self, kind: Any) -> bool:
        """Whether a class or function is none that the caller knows."""
        known = (*self.calls, *self.names)
        return isinstance(kind, Thing) or (isinstance(kind, Name) and kind.path not in known)

    def thing(self, kind: Any) -> Thing:
        if not self.strange(kind):
            what = kind.path if isinstance(kind, Name) else type(kind).__name__
            raise Refused(f"it builds an object (OBJ, INST, NEWOBJ) of {what[:100]!r}")
        return Thing(kind.path)

    def call(self, function: Any, arguments: tuple) -> Any:
        if self.things and self.strange(function):
            made_of = arguments[0] if function.path == "copy_reg._reconstructor" else function
            return Thing(made_of.path if isinstance(made_of, Name) else function.path)
        if not isinstance(function, Name) or function.path not in self.calls:
            what = function.path if isinstance(function, Name) else type(function).__name__
            raise Refused(f"it calls {what[:100]!r}")
        return self.calls[function.path](*arguments)

    def build(self, state: Any) -> None:
        """State for an object: dictionaries keep none (a state_dict's versions of modules)."""
        if isinstance(self.stack[-1], Thing):
            return
        if not isinstance(self.stack[-1], dict) or not isinstance(state, dict):
            raise Refused(f"it sets the state of an object of {type(self.stack[-1]).__name__!r}")

    def marked(self) -> list[Any]:
        """What lies above the topmost mark, taken off together with it."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is MARK:
                items = self.stack[place + 1 :]
                del self.stack[place:]
                return items
        raise ValueError("no mark")

    def values(self, items: list[Any], count: int) -> list[Any]:
        if len(items) != count or any(item is MARK for item in items):
            raise ValueError("too few values")
        return items


def ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    """`collections.OrderedDict` as a dict: of nothing, or of a list of pairs."""
    return _pairs([item for pair in _only(pairs, list, tuple) for item in _only(pair, list, tuple)])


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a key without a value")
    return {_key(k): v for k, v in zip(items[::2], items[1::2], strict=True)}


def _key(key: Any) -> str | int:
    """A key of a dictionary; others than text and numbers, as hyper-parameters have, by kind.

    Hashing a tuple of tuples of tuples ... would overflow C's stack.
    """
    if isinstance(key, float | bytes) or key is None:
        return str(key)
    if isinstance(key, Thing | Name):
        return f"({key.path})"
    if isinstance(key, tuple):
        return "(tuple)"
    return _only(key, str, int)


def _only(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds) or isinstance(value, Name | Thing):
        raise ValueError(f"{type(value).__name__} where a {kinds[0].__name__} belongs")
    return value


def line(error: Exception) -> str:
    """The message of an error in one line of limited length."""
    text = " ".join(str(error).split())
    return text[:300] or type(error).__name__
