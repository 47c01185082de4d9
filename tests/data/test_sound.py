"""Sound files of every kind that people have, and the layouts of data sets of them."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from dljax.data.sources.sound import (
    Recordings,
    UnreadableSound,
    by_speaker,
    hold_out,
    load_speech,
    read_sound,
    speech_to_score,
)
from dljax.data.sources.sound.audio import resample
from dljax.data.sources.sound.layouts import manifest

soundfile = pytest.importorskip("soundfile")
WAVE = np.round(9000 * np.sin(2 * np.pi * 440 * np.arange(801) / 8000)).astype(np.int16)
FLOAT = (WAVE / 32768).astype(np.float32)
EXACT, ALAW, OGG = 0, 400, 3000  # largest differences


def write(path: Path, samples=FLOAT, rate=8000, **settings) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **settings)
    return path


@pytest.mark.parametrize(
    "name, settings, within",
    [
        ("a.wav", {"subtype": "PCM_U8"}, 256),
        ("a.wav", {"subtype": "PCM_16"}, EXACT),
        ("a.wav", {"subtype": "PCM_24"}, EXACT),
        ("a.wav", {"subtype": "PCM_32"}, EXACT),
        ("a.wav", {"subtype": "FLOAT"}, EXACT),
        ("a.wav", {"subtype": "DOUBLE"}, EXACT),
        ("a.wav", {"subtype": "ALAW"}, ALAW),
        ("a.wav", {"subtype": "ULAW"}, ALAW),
        ("a.wav", {"format": "WAVEX", "subtype": "PCM_24"}, EXACT),
        ("a.flac", {}, EXACT),
        ("a.ogg", {}, OGG),
    ],
)
def test_kinds_of_files(tmp_path, name, settings, within):
    sound = read_sound(write(tmp_path / name, **settings))
    assert sound.rate == 8000 and sound.samples.dtype == np.int16 and sound.remarks == ()
    assert np.abs(sound.samples.astype(int) - WAVE).max() <= within


def riff(*chunks: tuple[bytes, bytes], length: int | None = None, pad: bool = True) -> bytes:
    """A WAV of these chunks; length: what the last one says of its own."""
    body = b"WAVE"
    for i, (name, content) in enumerate(chunks):
        said = length if length is not None and i == len(chunks) - 1 else len(content)
        body += name + struct.pack("<I", said) + content + b"\0" * (pad and len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


FORMAT = (b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16))
DATA = (b"data", WAVE.astype("<i2").tobytes())


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 10**6])
def test_lengths_of_streams(tmp_path, length):
    path = tmp_path / "a.wav"
    path.write_bytes(riff(FORMAT, DATA, length=length))
    sound = read_sound(path)
    np.testing.assert_array_equal(sound.samples, WAVE)
    assert sound.remarks == ("repaired",)


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("length", [None, 0])
def test_odd_chunks_before_the_samples(tmp_path, pad, length):
    """With and without the byte of padding that an odd chunk is to be followed by."""
    path = tmp_path / "a.wav"
    path.write_bytes(riff(FORMAT, (b"LIST", b"odd"), DATA, length=length, pad=pad))
    sound = read_sound(path)
    np.testing.assert_array_equal(sound.samples, WAVE)
    assert (sound.remarks == ()) == (pad and length is None)


def test_remarks(tmp_path):
    two = np.stack([FLOAT, np.zeros_like(FLOAT)], 1)
    stereo = read_sound(write(tmp_path / "s.wav", two))
    assert stereo.remarks == ("stereo",)
    assert np.abs(stereo.samples - WAVE / 2).max() <= 1
    assert read_sound(write(tmp_path / "z.wav", 0 * FLOAT + 0.2)).remarks == ("silent",)
    assert "clipped" in read_sound(write(tmp_path / "c.wav", np.clip(9 * FLOAT, -1, 1))).remarks


def test_resampling_keeps_what_lies_below_the_new_band_edge(tmp_path):
    pytest.importorskip("soxr")
    t = np.arange(16000) / 16000
    for hertz, least, most in ((3600, 0.95, 1.05), (4600, 0.0, 0.01)):
        low = resample(np.sin(2 * np.pi * hertz * t), 16000, 8000)[500:-500]
        assert least <= np.sqrt(2 * np.mean(low**2)) <= most
    sound = read_sound(write(tmp_path / "a.wav", rate=16000), rate=8000)
    assert sound.rate == 8000 and len(sound.samples) in (400, 401)
    assert sound.remarks == ("resampled",)


@pytest.mark.parametrize("content", [b"", b"no sound", riff(FORMAT, (b"data", b""))])
def test_what_is_no_sound_is_refused(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(UnreadableSound):
        read_sound(path)


def words(root: Path, counts: dict[str, int]) -> Path:
    for word, count in counts.items():
        for i in range(count):
            write(root / word / f"{i}.wav")
    return root


def test_folder_per_word(tmp_path):
    root = words(tmp_path, {"yes": 10, "no": 5, "_background_noise_": 1})
    (root / "yes" / "9.wav").write_bytes(b"broken")
    found = load_speech(str(root))
    assert found.words and found.rate == 8000
    assert sorted(found.test.texts) == ["no", "yes", "yes"] and len(found.train) == 11
    assert any("skipped, not readable" in note and "9.wav" in note for note in found.notes)
    assert any("no test part" in note for note in found.notes)
    parts = tmp_path / "parts"
    words(parts / "train", {"yes": 2, "no": 2})
    words(parts / "test", {"no": 1})
    found = load_speech(str(parts))
    assert (len(found.train), found.test.texts) == (4, ("no",))
    words(parts / "test", {"maybe": 1})
    with pytest.raises(ValueError, match="test has words that train lacks: maybe"):
        load_speech(str(parts))


def test_parts_in_any_spelling(tmp_path):
    """Parts are no words, and what lies beside them is named."""
    words(tmp_path / "Train", {"yes": 2, "no": 2})
    words(tmp_path / "Test", {"no": 1})
    words(tmp_path / "valid", {"yes": 1})
    words(tmp_path / "more", {"yes": 1})
    found = load_speech(str(tmp_path))
    assert set(found.train.texts) == {"yes", "no"} and found.test.texts == ("no",)
    assert found.validation.texts == ("yes",)
    assert found.notes[0] == "not used, beside Train/, valid/, Test/: more/"
    part, notes = speech_to_score(str(tmp_path), 8000)
    assert part.texts == ("no",) and notes[-1] == "the test part: 1 recordings are scored"
    (tmp_path / "valid" / "yes").rename(tmp_path / "more" / "no")
    with pytest.raises(ValueError, match="valid has no folder of recordings per word"):
        load_speech(str(tmp_path))
    part, notes = speech_to_score(str(tmp_path / "Train"), 8000)
    assert len(part) == 4 and notes[-1] == "all 4 recordings are scored"


def test_fsdd_names(tmp_path):
    for digit in "07":
        for index in range(7):
            write(tmp_path / "recordings" / f"{digit}_ann_{index}.wav")
    found = load_speech(str(tmp_path))
    assert found.words and len(found.train) == 4 and len(found.test) == 10
    assert set(found.train.speakers) == {"ann"} and set(found.test.texts) == {"0", "7"}


def test_manifests(tmp_path):
    lines = {}
    for part, count in (("train", 6), ("test", 2)):
        lines[part] = []
        for i in range(count):
            file = write(tmp_path / f"who{i % 3}" / f"{part}{i}.flac")
            entry = {"audio_filepath": str(file.relative_to(tmp_path)), "text": f"say {part}"}
            lines[part].append(json.dumps(entry | ({"speaker": "bob"} if i == 0 else {})))
        (tmp_path / f"{part}_manifest.json").write_text("\n".join(lines[part]) + "\n")
    found = load_speech(str(tmp_path))
    assert not found.words and set(found.train.texts) == {"say train"}
    assert found.train.speakers == ("bob", "who1", "who2", "who0", "who1", "who2")
    assert len(load_speech(str(tmp_path / "train_manifest.json")).test) == 1
    bad = tmp_path / "bad.jsonl"
    bad.write_text(lines["train"][0] + "\n{}\n")
    with pytest.raises(ValueError, match=r"bad\.jsonl, line 2: a manifest has a JSON object"):
        load_speech(str(bad))
    entry = {"audio_filepath": str(tmp_path / "who1" / "train1.flac"), "text": "a\u2028b"}
    bad.write_text(json.dumps(entry, ensure_ascii=False) + "\n", encoding="utf-8")
    assert len(manifest(bad)) == 1
    bad.write_text(json.dumps(entry | {"text": "\ud83d"}))
    with pytest.raises(ValueError, match=r"bad\.jsonl, line 1: .* half of a character"):
        load_speech(str(bad))
    bad.write_bytes(b'{"audio_filepath": "caf\xe9.wav", "text": "x"}')
    with pytest.raises(ValueError, match=r"bad\.jsonl is not UTF-8 at byte 23 \(0xe9\)"):
        load_speech(str(bad))
    bad.write_text(json.dumps({"audio_filepath": "gone.wav", "text": "x"}))
    with pytest.raises(FileNotFoundError, match=r"not there: .*gone\.wav"):
        load_speech(str(bad))


def test_kaldi(tmp_path):
    write(tmp_path / "x.wav")
    for part in ("train", "test"):
        folder = tmp_path / part
        folder.mkdir()
        (folder / "wav.scp").write_text("u1 x.wav\nu2 x.wav\n")
        (folder / "text").write_text("u1 HELLO  YOU\nu2 BYE\n")
        (folder / "utt2spk").write_text("u1 ann\nu2 bob\n")
    found = load_speech(str(tmp_path))
    assert found.train.texts == ("HELLO  YOU", "BYE") and found.test.speakers == ("ann", "bob")
    (tmp_path / "test" / "text").write_text("u1 HELLO\n")
    with pytest.raises(ValueError, match="differ in utterances: u2"):
        load_speech(str(tmp_path))
    (tmp_path / "train" / "wav.scp").write_text("u1 sox x.wav -t wav - |\nu2 x.wav\n")
    with pytest.raises(ValueError, match="commands are not run"):
        load_speech(str(tmp_path))


def test_embedded():
    pytest.importorskip("captcha")
    found = load_speech("spoken_characters")
    assert set(found.train.texts) == set("0123456789abcdefghijklmnopqrstuvwxyz")
    assert len(found.test) == 72 and not set(found.train.names) & set(found.test.names)
    assert "synthetic" in found.notes[0]


@pytest.mark.parametrize(
    "name, error", [("unknown", "Unknown data set"), ("./none", "There is no"), (".", "no speech")]
)
def test_no_data_set(name, error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        load_speech(name)


def made(texts, speakers) -> Recordings:
    names = tuple(f"r{i}" for i in range(len(texts)))
    return Recordings((WAVE,) * len(texts), tuple(texts), tuple(speakers), names)


def test_hold_out():
    sentences = made([f"text {i}" for i in range(20)], [f"s{i % 5}" for i in range(20)])
    rest, held, how = hold_out(sentences, 0.2)
    assert len(held) == 4 and not set(rest.speakers) & set(held.speakers) and "speakers" in how
    rest, held, how = hold_out(made(["a", "b"] * 10, ["s", "t"] * 10), 0.2)
    assert sorted(held.texts) == ["a", "a", "b", "b"] and "20% of the recordings" in how
    rest, held = by_speaker(sentences, ["s1", "s3"], "test_speakers")
    assert len(held) == 8 and len(rest) == 12
    with pytest.raises(ValueError, match="no speaker 'zoe'; there are: s0"):
        by_speaker(sentences, ["zoe"], "test_speakers")
