"""A file of weights can hold any program: each is refused by name, and nothing of it runs."""

import argparse
import collections
import datetime
import decimal
import functools
import os
import pathlib
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest

from dljax.transfer import safe_unpickle, torch_file
from tests.transfer import torch_files as by_hand


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.made_of = (function, arguments)

    def __reduce__(self):
        return self.made_of


class Stateful:
    def __init__(self, values):
        self.__dict__ = values


def opcodes(thing, protocol: int) -> bytes:
    """The program that builds a thing, without its frame: it may stand inside another."""
    raw = pickle.dumps(thing, protocol)
    start = 2 + (9 if protocol >= 4 and raw[2:3] == b"\x95" else 0)
    return raw[start:-1]


def touch(path) -> str:
    return f"touch {path}"


def attacks(victim):
    command, code = touch(victim), f"open({str(victim)!r}, 'w')"
    yield "system", opcodes(Call(os.system, command), 2), "system"
    yield "eval", opcodes(Call(eval, code), 2), "eval"
    yield "exec, protocol 4", opcodes(Call(exec, code), 4), "exec"
    yield "open, protocol 0", pickle.dumps(Call(open, str(victim), "w"), 0)[:-1], "open"
    yield "subprocess", opcodes(Call(subprocess.check_output, ["touch", str(victim)]), 2), "check"
    yield (
        "getattr",
        opcodes(Call(getattr, {}, "keys"), 2),
        "getattr",
    )
    yield (
        "inside a tensor's name",
        b"ctorch.serialization\nos.system\n" + call(command),
        "os.system",
    )
    yield "dotted attribute", stack_global("torch._utils", "os.system") + call(command), "os.system"
    yield "its own loader", b"ctorch.storage\n_load_from_bytes\n" + call("x"), "_load_from_bytes"
    yield "an allowed name of another module", b"cos\nOrderedDict\n)R", "os.OrderedDict"
    yield "a storage called", b"ctorch\nFloatStorage\n" + call("x"), "calls 'torch.FloatStorage'"
    yield "a string called", by_hand.text("os.system") + call(command), "calls 'str'"
    yield "instance", b"(" + by_hand.text(command) + b"ios\nsystem\n", "os.system"
    yield "object", b"(ccollections\nOrderedDict\n" + by_hand.text("x") + b"o", "OBJ"
    yield "new object", b"ccollections\nOrderedDict\n)\x81", "NEWOBJ"
    yield "extension", b"\x82\x01", "EXT1"
    yield "state of a class", b"ccollections\nOrderedDict\n}b", "sets the state"
    yield "slots of a dictionary", b"})\x85b", "sets the state"
    yield "persistent module", b"(" + by_hand.text("module") + b"tQ", "module"
    yield (
        "inside an object's state",
        opcodes(Stateful({"a": Call(os.system, command)}), 2),
        "system",
    )
    yield (
        "in numpy's clothes",
        stack_global("numpy.os", "system") + call(command),
        "numpy.os.system",
    )
    yield "built by an object's class", opcodes(Stateful({"b": [Call(eval, code)]}), 4), "eval"


def objects():
    """What stands beside weights, with the class that it is named by."""
    yield argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("x")), "argparse.Namespace"
    yield Stateful({"a": 1, "b": {(1, 2): None, 3.5: b"x"}}), "Stateful"
    yield np.float32(1), "multiarray.scalar"
    yield np.arange(3), "numpy"
    yield {1, 2}, "set"
    yield frozenset("ab"), "frozenset"
    yield datetime.date(2020, 1, 2), "datetime.date"
    yield decimal.Decimal("1.5"), "decimal.Decimal"
    yield slice(1, 2), "slice"
    yield functools.partial(print, 1), None  # builtins.print: refused in any place
    yield Call(collections.Counter, "aab"), "collections.Counter"


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("number", range(11))
def test_objects_beside_weights_are_named_and_not_built(tmp_path, number, protocol):
    thing, named = list(objects())[number]
    path, row = tmp_path / "weights.pth", np.arange(3, dtype=np.float32)
    sound = by_hand.tensor("0", "FloatStorage", 3, 0, (3,), (1,))
    program = opcodes(thing, protocol) if protocol > 1 else pickle.dumps(thing, protocol)[:-1]
    body = by_hand.mapping({"args": program, "w": sound, "epoch": by_hand.number(3)})
    for content in (
        by_hand.zipped(body, {"0": row.tobytes()}),
        by_hand.legacy(body, {"0": row}),
    ):
        path.write_bytes(content)
        if named is None:
            with pytest.raises(ValueError, match=r"names '\w+\.print'"):
                torch_file.load(path)
            continue
        found = torch_file.load(path)
        assert list(found.arrays) == ["w"]
        np.testing.assert_array_equal(found.arrays["w"], row)
        assert len(found.skipped) == 2 and "epoch" in found.skipped
        assert "args" in found.skipped[0] and named.removeprefix("_") in found.skipped[0]


def test_a_whole_module_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(by_hand.zipped(opcodes(Stateful({"a": 1}), 2), {}))
    with pytest.raises(ValueError, match=r"an object of .*Stateful, not built .*state_dict"):
        torch_file.load(path)


def call(argument: str) -> bytes:
    return by_hand.text(argument) + b"\x85R"


def stack_global(module: str, name: str) -> bytes:
    return by_hand.text(module) + by_hand.text(name) + b"\x93"


def test_each_attack_is_refused_by_name_and_does_nothing(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "weights.pth"
    row = np.arange(3, dtype=np.float32)
    for name, attack, reason in attacks(victim):
        # beside a sound tensor: first among the values, in both formats
        sound = by_hand.tensor("0", "FloatStorage", 3, 0, (3,), (1,))
        body = by_hand.mapping({"x": attack, "w": sound})
        for content in (
            by_hand.zipped(body, {"0": row.tobytes()}),
            by_hand.legacy(body, {"0": row}),
        ):
            path.write_bytes(content)
            with pytest.raises(ValueError) as caught:
                torch_file.read(path)
            message = str(caught.value)
            assert reason in message and "\n" not in message, (name, message)
            assert isinstance(caught.value.__cause__, safe_unpickle.Refused), name
    assert not victim.exists()


def test_each_part_of_a_legacy_file_is_read_so(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "weights.pth"
    attack = pickle.dumps(Call(os.system, touch(victim)), 2)
    head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    parts = [*head, by_hand.program(b"}"), pickle.dumps([], 2)]
    for index in range(len(parts)):
        path.write_bytes(b"".join([*parts[:index], attack, *parts[index + 1 :]]))
        with pytest.raises(ValueError, match=r"names '\w+\.system'"):
            torch_file.read(path)
    assert not victim.exists()


def test_the_attack_would_work_on_pickle_itself(tmp_path):
    victim = tmp_path / "victim"
    pickle.loads(by_hand.program(opcodes(Call(os.system, touch(victim)), 2)))
    assert victim.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"}" + b"r" + struct.pack("<I", 2**31 - 1),  # a memo that a table would need 16 GB for
        b"(" * 40_000 + b"t" * 40_000,  # tuples in tuples, which nothing may walk recursively
        b"}(" + b")" + b"\x85" * 40_000 + b"Ku",  # ... and as a key, to be hashed
        b"X\xff\xff\xff\x7fabc",  # a string of 2 GB that is not there
        b"\x8b" + struct.pack("<i", -5),  # a number of negative length
        b"h\x07",  # what was never remembered
        b"0" * 5,  # an empty stack
    ],
)
def test_bombs_end_in_one_line(tmp_path, body):
    path = tmp_path / "weights.pth"
    path.write_bytes(by_hand.zipped(body, {}))
    with pytest.raises(ValueError, match="can't be read") as caught:
        torch_file.read(path)
    assert len(str(caught.value)) < 500


def test_nothing_is_imported(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(by_hand.zipped(b"cturtledemo.clock\nmain\n)R", {}))
    with pytest.raises(ValueError, match=r"turtledemo\.clock\.main"):
        torch_file.read(path)
    assert "turtledemo" not in sys.modules


def test_an_ordered_dictionary_keeps_its_order_and_its_metadata_is_passed_over(tmp_path):
    pairs = collections.OrderedDict([("b", 1), ("a", 2)])
    pairs._metadata = collections.OrderedDict(version=1)
    file = tmp_path / "x"
    for protocol in (2, 4):
        file.write_bytes(pickle.dumps(pairs, protocol))
        with open(file, "rb") as opened:
            read = safe_unpickle.load(opened, torch_file.CALLS)
        assert list(read.items()) == [("b", 1), ("a", 2)]


def test_no_damage_ends_otherwise_than_in_one_line(tmp_path):
    """Programs with random bytes changed, taken out and put in, in both formats."""
    random, path = np.random.default_rng(0), tmp_path / "weights.pth"
    row = np.arange(3, dtype=np.float32)
    sound = by_hand.mapping({"w": by_hand.tensor("0", "FloatStorage", 3, 0, (3,), (1,))})
    for number in range(400):
        body = bytearray(sound)
        place = random.integers(len(body))
        body[place : place + random.integers(3)] = random.bytes(random.integers(3))
        make = (by_hand.zipped, by_hand.legacy)[number % 2]
        path.write_bytes(make(bytes(body), {"0": (row.tobytes(), row)[number % 2]}))
        try:
            torch_file.read(path)
        except ValueError as error:
            assert "\n" not in str(error) and len(str(error)) < 500
