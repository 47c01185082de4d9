"""Many odd and broken CSV files of fixed seeds: each is read rightly or refused in one line.

Odd ones have the same content in a notation drawn at random; what is read must be that content.
Broken ones are damaged at random; what is read must at least be finite and in order. The counts by
outcome are printed (pytest -s).
"""

import collections
import random
import re

import numpy as np

from dljax.data.sources.series import from_table
from dljax.data.sources.table import parse_table

ODD, BROKEN = 120, 120
DATES = {
    "h": ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%MZ", "%d.%m.%Y %H:%M", "%Y%m%d%H", "%m/%d/%Y %I:%M %p",
          "%d-%b-%Y %H:%M", "unix"),
    "D": ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%y", "%y-%m-%d", "%Y%m%d", "%d %B %Y", "%d %b",
          "excel"),
    "M": ("%Y-%m", "%b-%y", "%B %Y", "%Y%m", "quarter?"),
}  # fmt: skip


def content(rng):
    """Times and two columns of values with three decimals."""
    unit = rng.choice("hDM")
    start = np.datetime64(rng.choice(["1999-01-15T00", "2015-06-01T00", "2021-12-24T05"]))
    count = rng.randint(40, 90)
    times = start.astype(f"datetime64[{unit}]") + np.arange(count)
    t = np.arange(count)
    scale = rng.choice([1, 50, 3000])
    noise = np.random.default_rng(rng.randrange(2**32)).normal(size=(count, 2))
    values = scale * (2 + np.sin(t[:, None] / [3, 5]) + 0.1 * noise)
    return unit, times.astype("datetime64[s]"), np.round(values, rng.choice([0, 1, 3]))


def written_date(form, time):
    moment = time.item()
    if form == "unix":
        return str(time.astype(np.int64))
    if form == "excel":
        return str(int(time.astype(np.int64)) // 86400 + 25569)
    if form == "quarter?":
        return f"{moment.year}M{moment.month:02d}"
    return moment.strftime(form)


def written_number(value, decimal, groups, digits):
    text = f"{value:,.{digits}f}" if groups else f"{value:.{digits}f}"
    return text.replace(",", "_").replace(".", decimal).replace("_", groups)


def odd_file(rng, unit, times, values):
    """The content in a notation drawn at random: the bytes of a file."""
    separator = rng.choice(",;\t|")
    decimal = rng.choice(".,")
    groups = rng.choice(["", "", {".": ",", ",": "."}[decimal], "'", "\u202f"])
    digits = next(d for d in (0, 1, 3) if (np.round(values, d) == values).all())
    form = rng.choice(DATES[unit])
    columns = {"date": [written_date(form, time) for time in times]}
    for name, column in zip(("a", "b"), values.T, strict=True):
        columns[name] = [written_number(x, decimal, groups, digits) for x in column.tolist()]
    extras = {
        "id": ["7"] * len(times),
        "holiday": [str(int(i % 9 == 4)) for i in range(len(times))],
        "weather": [rng.choice(["sun", "rain"]) for _ in times],
        "": [str(i) for i in range(len(times))],
        "unix": [str(time.astype(np.int64)) for time in times],
    }
    for name in rng.sample(sorted(extras), rng.randint(0, 3)):
        columns[name] = extras[name]
    if "" in columns:
        columns = {"": columns.pop(""), **columns}
    rows = list(zip(*columns.values(), strict=True))
    if rng.random() < 0.2:
        rows.reverse()

    def quoted(cell):
        return f'"{cell}"' if separator in cell or rng.random() < 0.05 else cell

    above = rng.choice(["", "", "", "# a comment\n", "A title\n\n"])
    lines = [separator.join(columns), *(separator.join(map(quoted, row)) for row in rows)]
    text = above + rng.choice(["\n", "\r\n"]).join(lines)
    return text.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16"]))


def break_file(rng, content):
    """Damages the bytes of a file at random."""
    lines = content.split(b"\n")
    kind = rng.choice(
        [
            "cut",
            "cell",
            "swap",
            "twice",
            "bytes",
            "header",
            "quote",
            "empty",
            "word",
            "drop",
            "wide",
        ]
    )
    i = rng.randrange(1, len(lines))
    cells = lines[i].split(b",")
    j = rng.randrange(len(cells))
    junk = rng.choice([b"inf", b"1e999", b"abc", b"-", b"2020-13-45", b"\x00", b"9" * 400, b"NaT"])
    if kind == "cut":
        return content[: rng.randrange(len(content))]
    if kind == "bytes":
        spot = rng.randrange(len(content))
        return content[:spot] + rng.randbytes(3) + content[spot + 3 :]
    if kind == "header":
        return b"\n".join(lines[1:])
    if kind == "quote":
        spot = rng.randrange(len(content))
        return content[:spot] + b'"' + content[spot:]
    if kind == "swap":
        k = rng.randrange(1, len(lines))
        lines[i], lines[k] = lines[k], lines[i]
    elif kind == "twice":
        lines.insert(i, lines[i].replace(b"1", b"2", 1))
    elif kind == "drop":
        del lines[i]
    else:
        cells[j] = {"cell": junk, "word": b"?", "empty": b"", "wide": cells[j] + b",5"}[kind]
        lines[i] = b",".join(cells)
    return b"\n".join(lines)


def outcome(raw, **settings):
    """('refused', message) or ('read', series)."""
    try:
        return "read", from_table(parse_table(raw, "odd.csv"), **settings)
    except ValueError as error:
        message = str(error)
        assert "\n" not in message and "odd.csv" in message and len(message) < 600, message
        assert isinstance(error, ValueError) and type(error).__name__ != "UnicodeDecodeError"
        return "refused", message


def test_odd_notations_are_read_as_what_they_say_or_refused():
    counts = collections.Counter()
    for seed in range(ODD):
        rng = random.Random(seed)
        unit, times, values = content(rng)
        raw = odd_file(rng, unit, times, values)
        found, series = outcome(raw)
        counts[found] += 1
        if found == "read":
            (series,) = series
            assert series.columns == ("a", "b"), (seed, series.columns)
            assert len(series.time) == len(times) and (series.time == times).all(), seed
            if any(re.match(r"Column [ab]: .* is read as", note) for note in series.notes):
                counts["said"] += 1  # 6.243 everywhere may be 6243: what was assumed is told
                continue
            np.testing.assert_allclose(series.values, values, rtol=1e-12, err_msg=str(seed))
    print(f"{ODD} odd files:", dict(counts))
    assert counts["read"] > 0.6 * ODD and counts["refused"] >= 5


def test_broken_files_are_refused_or_finite():
    counts = collections.Counter()
    for seed in range(BROKEN):
        rng = random.Random(1000 + seed)
        _, times, values = content(rng)
        rows = zip(times.astype(str), values.astype(str).tolist(), strict=True)
        raw = "\n".join(["date,a,b", *(",".join([time, *cells]) for time, cells in rows)]).encode()
        fill = rng.choice(["refuse", "forward", "linear"])
        found, panel = outcome(break_file(rng, raw), fill=fill)
        counts[found] += 1
        if found == "read":
            for series in panel:
                assert np.isfinite(series.values).all() and series.columns, seed
                assert (np.diff(series.time) > np.timedelta64(0, "s")).all(), seed
    print(f"{BROKEN} broken files:", dict(counts))
    assert counts["refused"] > 0.2 * BROKEN and counts["read"] > 0.1 * BROKEN
