"""What a run has read: a summary for the user, and a fingerprint that changes with the data.

    record = images_record(train, test, classes)  # of record_kinds: one for each kind of data
    record.lines()                            # what is printed before training
    differences(saved, record.fingerprint())  # [] where the data is the same

A run keeps the fingerprint with its checkpoints. It holds what the data is (counts, shapes,
classes, first and last time stamp), digests of its content, and what was derived from it (order of
classes, scaler).
Where the data lies is no part of it: another path to the same data is the same data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dljax.data.file_digests import content, stamp
from dljax.train.files import jsonable

MANY = 20  # classes that are listed one by one, at most
FORMAT = 2  # of fingerprints


class DataRecord(NamedTuple):
    """summary: what was read, in JSON's types. digests: name -> checksum of the content.

    derived: what the run computes from it and would compute otherwise from other data. left_out:
    lines, what was not read and why. details: shown and written beside the summary, not compared.
    files: name -> files that are read later, in their order; their content is digested too.
    remarks: further lines for a reader.
    """

    summary: Mapping[str, Any]
    digests: Mapping[str, str]
    derived: Mapping[str, Any] = {}
    left_out: Sequence[str] = ()
    details: Mapping[str, Any] = {}
    files: Mapping[str, Sequence[str]] = {}
    remarks: Sequence[str] = ()

    def fingerprint(self, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What `differences` compares, in JSON's types.

        before: an earlier fingerprint. Files whose names, sizes and times are as they were then are
        not read again: their digests are those of then.
        """
        before = before or {}
        stamps = {name: stamp(files) for name, files in self.files.items()}
        digests = dict(self.digests)
        for name, files in self.files.items():
            if (
                name in before.get("digests", {})
                and before.get("stamps", {}).get(name) == stamps[name]
            ):
                digests[name] = before["digests"][name]
            else:
                digests[name] = content(tuple(files), stamps[name])
        return jsonable(
            {
                "format": FORMAT,
                "summary": self.summary,
                "derived": self.derived,
                "digests": digests,
                "stamps": stamps,
            }
        )

    def report(self) -> dict[str, Any]:
        """What summary.json says of the data."""
        more = {"left_out": list(self.left_out), "remarks": list(self.remarks)}
        return {**self.summary, **self.details, **more}

    def deriving(self, **values: Any) -> DataRecord:
        """The record with further values that a run has derived from the data."""
        return self._replace(derived={**self.derived, **values})

    def lines(self) -> tuple[str, ...]:
        """The summary for a reader."""
        entries = {**self.summary, **self.details}
        lines = (_line(name, value) for name, value in entries.items())
        return (*lines, *self.left_out, *self.remarks)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two fingerprints, a short text for each entry.

    Digests are named only where nothing else shows the difference. Numbers that were derived (a
    scaler) may differ by rounding. What an earlier release's fingerprint lacks is not compared.
    """
    lines = []
    earlier = before.get("format", 1) < now.get("format", 1)
    for part in ("summary", "derived"):
        old, new = before.get(part, {}), now.get(part, {})
        for name in [x for x in old if x in new] if earlier else dict.fromkeys((*old, *new)):
            if not _close(old.get(name), new.get(name)):
                lines.append(_difference(name, old.get(name), new.get(name)))
    if not lines:
        old, new = before.get("digests", {}), now.get("digests", {})
        names = [x for x in old if x in new] if earlier else dict.fromkeys((*old, *new))
        changed = [name for name in names if old.get(name) != new.get(name)]
        lines = [f"other content: {', '.join(changed)}"] if changed else []
    return lines


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_close, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-12)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_close(a[key], b[key]) for key in a)
    return a == b


def _difference(name: str, old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        changed = [
            key for key in dict.fromkeys((*old, *new)) if not _close(old.get(key), new.get(key))
        ]
        each = [
            f"{key} {_short(old[key]) if key in old else 'absent'} then, "
            f"{_short(new[key]) if key in new else 'absent'} now"
            for key in changed[:3]
        ]
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return f"{name}: {'; '.join(each)}{more}"
    return f"{name}: {_short(old)} then, {_short(new)} now"


def _short(value: Any) -> str:
    text = ", ".join(map(_short, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _line(name: str, value: Any) -> str:
    """One entry of a summary as 'name: a 1, b 2'; long lists are cut."""
    if isinstance(value, Mapping):
        items = [f"{key} {_numbers(entry)}" for key, entry in value.items()]
    elif isinstance(value, list | tuple) and name not in ("shape", "range"):
        items = [str(entry) for entry in value]
    else:
        items = [_numbers(value)]
    more = f", and {len(items) - MANY} more" if len(items) > MANY else ""
    count = f"{len(items)} {name}" if len(items) > 3 else name
    return f"{count}: {', '.join(items[:MANY])}{more}"


def _numbers(value: Any) -> str:
    if isinstance(value, list | tuple):
        return (
            " to ".join(f"{x:g}" for x in value) if len(value) == 2 else "x".join(map(str, value))
        )
    return str(value)
