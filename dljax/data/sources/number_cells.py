"""One cell of a table as a number: decimal signs, groups of digits, signs of currency."""

from __future__ import annotations

import re
from typing import NamedTuple

MISSING = frozenset(
    (*("", "na", "n/a", "#n/a", "nan", "nat", "null", "none", "missing"), *("?", "-", "--", "."))
)
GAP = " '’\u00a0\u2009\u202f"  # between groups of three digits
CURRENCY = (
    r"[$€£¥₹₽₩₺]|R\$|USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|kr|zł"
)
CELL = re.compile(
    rf"(?P<open>\()?(?P<sign>[+−-]?)\s*(?P<before>{CURRENCY})?\s*(?P<inner>[+−-]?)"
    rf"(?P<body>[\d.,][\d.,{GAP}]*?)(?P<exponent>[eE][+-]?\d+)?\s*(?P<after>{CURRENCY}|%)?"
    r"(?P<close>\))?"
)
GAPPED = re.compile(rf"\d{{1,3}}(?:[{GAP}]\d{{3}})+(?:[.,]\d*)?")
GROUPS = {  # of thousands; commas also as in India, 12,34,567
    ".": re.compile(r"\d{1,3}(\.\d{3})+"),
    ",": re.compile(r"\d{1,3}(,\d{2,3})*,\d{3}"),
}
BOOLEANS = {"true": 1.0, "false": 0.0}
SINGLE = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")  # a decimal sign or one group of thousands


class Cell(NamedTuple):
    """A number's text: digits with at most dots and commas, its sign, and a unit ('', '%', 'EUR').

    kind: 'plain' without dot and comma; 'point' or 'comma', the decimal sign that it can only have;
    'either' for one like 2,134 or 2.134.
    """

    body: str
    negative: bool
    unit: str
    kind: str


def parse_cell(text: str) -> Cell | None:
    """The `Cell` of a text, None where it is no number."""
    found = CELL.fullmatch(text)
    if not found or bool(found["open"]) != bool(found["close"]):
        return None
    if (found["before"] and found["after"]) or (
        found["sign"] and (found["inner"] or found["open"])
    ):
        return None
    body = found["body"]
    if any(gap in body for gap in GAP):
        if not GAPPED.fullmatch(body):
            return None
        body = re.sub(f"[{GAP}]", "", body)
    kind = _kind(body)
    if kind is None or (kind == "either" and found["exponent"]):
        kind = kind and ("point" if "." in body else "comma")
    if kind is None:
        return None
    negative = bool(found["open"]) or "-" in (sign := found["sign"] + found["inner"]) or "−" in sign
    unit = found["before"] or found["after"] or ""
    return Cell(body + (found["exponent"] or ""), negative, unit, kind)


def _kind(body: str) -> str | None:
    """The kind of a `Cell`, None for what is no number."""
    dots, commas = body.count("."), body.count(",")
    if not any(c.isdigit() for c in body):
        return None
    if not dots and not commas:
        return "plain"
    if dots and commas:
        last = "." if body.rfind(".") > body.rfind(",") else ","
        whole, _, rest = body.rpartition(last)
        other = "," if last == "." else "."
        good = rest.isdigit() and GROUPS[other].fullmatch(whole) is not None
        return ("point" if last == "." else "comma") if good else None
    sign, count = (".", dots) if dots else (",", commas)
    if count > 1:
        return ("comma" if dots else "point") if GROUPS[sign].fullmatch(body) else None
    if SINGLE.fullmatch(body):
        return "either"
    return "point" if dots else "comma"


def is_number(text: str) -> bool:
    """Whether a text is a number in any notation, or true or false."""
    return plain_number(text) or parse_cell(text) is not None or text.lower() in BOOLEANS


def plain_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
