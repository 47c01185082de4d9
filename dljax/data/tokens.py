"""Tokens: what a language model reads in place of text, and back.

    tokens = characters("the text of the training part")
    ids = tokens.encode("the");  tokens.decode(ids)

Three kinds: characters (those of the training part), bytes (of UTF-8, any text), and byte-level
BPE (Sennrich et al. 2016; the library `tokenizers`), trained on the training part. Token 0 marks
the beginning of a text and the border between two; it is no character. Of characters, token 1
stands for all that the training part does not have.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

BORDER, UNKNOWN = 0, 1
KINDS = ("characters", "bytes", "bpe")


class Tokens(NamedTuple):
    """A vocabulary.

    kind: of KINDS. names: what a reader is shown for each token. characters, bytes: int [V], the
    characters that begin in each token, and its bytes in UTF-8 (of unknown characters: 1 and 1).
    encode: text -> int32 [N]. decode_bytes: ids -> bytes of UTF-8; a token may end within a
    character. saved: what `load` makes it from again, in JSON's types.
    """

    kind: str
    names: tuple[str, ...]
    characters: np.ndarray
    bytes: np.ndarray
    encode: Callable[[str], np.ndarray]
    decode_bytes: Callable[[Any], bytes]
    saved: Mapping[str, Any]

    def decode(self, ids: Any) -> str:
        """The text of tokens; what is no whole character becomes U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")


def make(kind: str, text: str, vocabulary: int = 1024) -> Tokens:
    """The vocabulary of a training text; `vocabulary` is the number of tokens of BPE."""
    if kind == "characters":
        return characters(text)
    return byte_values() if kind == "bytes" else bpe(text, vocabulary)


def load(saved: Mapping[str, Any]) -> Tokens:
    """The vocabulary that `saved` describes."""
    if saved["kind"] == "characters":
        return characters(saved["characters"])
    return byte_values() if saved["kind"] == "bytes" else _bpe(saved["json"])


def characters(text: str) -> Tokens:
    """The characters of a text, in the order of their code points."""
    known = sorted(set(text))
    codes = np.array([ord(x) for x in known], np.int64)
    encoded = [x.encode("utf-8", errors="surrogatepass") for x in known]

    def encode(text: str) -> np.ndarray:
        points = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), np.uint32)
        if not len(codes):
            return np.full(len(points), UNKNOWN, np.int32)
        index = np.minimum(np.searchsorted(codes, points), len(codes) - 1)
        return np.where(codes[index] == points, index + 2, UNKNOWN).astype(np.int32)

    def decode_bytes(ids: Any) -> bytes:
        texts = [b"", "\ufffd".encode(), *encoded]
        return b"".join(texts[int(i)] for i in ids)

    return Tokens(
        "characters",
        ("border", "unknown", *known),
        np.array([0, 1] + [1] * len(known)),
        np.array([0, 1] + [len(x) for x in encoded]),
        encode,
        decode_bytes,
        {"kind": "characters", "characters": "".join(known)},
    )


def byte_values() -> Tokens:
    """The 256 values of a byte: token i + 1 is the byte i."""

    def encode(text: str) -> np.ndarray:
        raw = np.frombuffer(text.encode("utf-8", errors="surrogateescape"), np.uint8)
        return raw.astype(np.int32) + 1

    def decode_bytes(ids: Any) -> bytes:
        return bytes(int(i) - 1 for i in ids if int(i) != BORDER)

    values = [bytes([i]) for i in range(256)]
    return Tokens(
        "bytes",
        ("border", *(_name(x) for x in values)),
        np.array([0] + [_begins(x) for x in values]),
        np.array([0] + [1] * 256),
        encode,
        decode_bytes,
        {"kind": "bytes"},
    )


def bpe(text: str, vocabulary: int) -> Tokens:
    """Byte-level BPE of about `vocabulary` tokens, at least 257, trained on a text."""
    library = _tokenizers()
    model = library.Tokenizer(library.models.BPE())
    model.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary - 1,
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator([text], trainer)
    return _bpe(model.to_str())


def _bpe(content: str) -> Tokens:
    """The vocabulary in the library's JSON; its token i is our i + 1."""
    library = _tokenizers()
    model = library.Tokenizer.from_str(content)
    table = _byte_of_letter()
    letters = [model.id_to_token(i) for i in range(model.get_vocab_size())]
    values = [bytes(table[x] for x in word) for word in letters]

    def encode(text: str) -> np.ndarray:
        return np.array(model.encode(text).ids, np.int32) + 1

    def decode_bytes(ids: Any) -> bytes:
        return b"".join(values[int(i) - 1] for i in ids if int(i) != BORDER)

    return Tokens(
        "bpe",
        ("border", *(_name(x) for x in values)),
        np.array([0] + [_begins(x) for x in values]),
        np.array([0] + [len(x) for x in values]),
        encode,
        decode_bytes,
        {"kind": "bpe", "json": content},
    )


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise ValueError(
            "tokens=bpe needs the package tokenizers: pip install tokenizers"
        ) from None
    return tokenizers


def _byte_of_letter() -> dict[str, int]:
    """The byte that each letter of byte-level BPE stands for (GPT-2's bytes_to_unicode, inverted).

    Printable bytes stand for themselves, the other ones, in order, for the code points from 256.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [i for i in range(256) if i not in printable]
    table = {chr(i): i for i in printable}
    return table | {chr(256 + n): i for n, i in enumerate(others)}


def _begins(value: bytes) -> int:
    """Characters that begin in these bytes: those that are no continuation bytes of UTF-8."""
    return sum(x & 0xC0 != 0x80 for x in value)


def _name(value: bytes) -> str:
    return value.decode("utf-8", errors="backslashreplace")


def digest(tokens: Tokens) -> str:
    """The number of tokens and a checksum of what they are."""
    content = json.dumps(tokens.saved, sort_keys=True).encode()
    return f"{len(tokens.names)} {tokens.kind} {zlib.crc32(content):08x}"
