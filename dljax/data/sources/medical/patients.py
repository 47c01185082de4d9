"""Which patient an image or a volume is of, and splits that keep patients whole.

Images of one patient resemble each other more than those of two. Where some are trained on and
others scored, the score is too good, so that parts must not share a patient.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from dljax.data.sources.layout import some

COLUMNS = ("file", "patient")


def patients_of(names: Sequence[str], table: str = "", pattern: str = "") -> tuple[str, ...] | None:
    """The patient of each file, None where neither a table nor a pattern names them.

    names: paths relative to the data set, with '/'. table: a CSV with the columns file and patient;
    a file is found by its path, its name, or its name without ending. pattern: a regular expression
    whose one group is the patient, searched in the path.

    Raises FileNotFoundError, and ValueError, in one line, for a file without a patient.
    """
    if table and pattern:
        raise ValueError("--patients and --patient_pattern both name patients: give one of them")
    if table:
        return _by_table(names, table)
    return _by_pattern(names, pattern) if pattern else None


def check(parts: Mapping[str, Sequence[str]]) -> None:
    """Refuses a patient who is in two parts, by name. parts: part -> the patient of each example.

    Raises ValueError.
    """
    owner: dict[str, str] = {}
    shared: dict[str, tuple[str, str]] = {}
    for part, patients in parts.items():
        for patient in patients:
            first = owner.setdefault(patient, part)
            if first != part:
                shared.setdefault(patient, (first, part))
    if shared:
        patient, (first, second) = next(iter(shared.items()))
        more = f" (and {len(shared) - 1} more patients)" if len(shared) > 1 else ""
        raise ValueError(
            f"patient {patient!r} has images in {first} and in {second}{more}: a score on patients "
            "who were trained on is too good; keep each in one part"
        )


def split(patients: Sequence[str], share: float, salt: str = "") -> np.ndarray:
    """The examples to hold out, bool [N]: those of a share of the patients, at least one, not all.

    Chosen are the patients of the smallest SHA-256 of salt and name: the same on every machine,
    and hardly changed by a new patient. Raises ValueError where there is one patient only.
    """
    each = sorted(set(patients), key=lambda p: hashlib.sha256(f"{salt}{p}".encode()).digest())
    if len(each) < 2:
        raise ValueError(f"all images are of patient {each[0]!r}: two are needed for two parts")
    held = set(each[: min(max(1, round(share * len(each))), len(each) - 1)])
    return np.array([patient in held for patient in patients])


def _by_pattern(names: Sequence[str], pattern: str) -> tuple[str, ...]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--patient_pattern={pattern} is no regular expression: {error}") from None
    if compiled.groups != 1:
        raise ValueError(
            f"--patient_pattern={pattern} has {compiled.groups} groups: one is needed, in "
            r"parentheses, that names the patient, as in '(\w+)-\d+'"
        )
    found = {name: compiled.search(name) for name in names}
    missing = [name for name, match in found.items() if not (match and match[1])]
    if missing:
        raise ValueError(
            f"--patient_pattern={pattern} names no patient of {some(missing)}: every file needs one"
        )
    return tuple(found[name][1] for name in names)


def _by_table(names: Sequence[str], table: str) -> tuple[str, ...]:
    known = _read(table)
    missing = []
    found = []
    for name in names:
        path = PurePosixPath(name)
        keys = (name, path.name, path.name.split(".")[0])
        patients = next((known[key] for key in keys if key in known), set())
        if len(patients) > 1:
            raise ValueError(
                f"{table} names several patients for {name}: {some(sorted(patients))}; "
                "write the files' paths relative to the data set"
            )
        missing += [] if patients else [name]
        found += patients
    if missing:
        raise ValueError(f"{table} names no patient of {some(missing)}: every file needs one")
    return tuple(found)


def _read(table: str) -> dict[str, set[str]]:
    """File -> its patients."""
    path = Path(table).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {table}, of --patients.")
    known: dict[str, set[str]] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        header = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        if lacking := [name for name in COLUMNS if name not in header]:
            raise ValueError(
                f"{table} has no column {lacking[0]!r}: its first line must name the columns "
                f"{' and '.join(COLUMNS)}, and has {', '.join(header) or 'nothing'}"
            )
        for row in reader:
            name, patient = ((row[header[x]] or "").strip() for x in COLUMNS)
            if not name or not patient:
                raise ValueError(f"{table}, line {reader.line_num}: file or patient is empty")
            known.setdefault(PurePosixPath(name.replace("\\", "/")).as_posix(), set()).add(patient)
    return known
