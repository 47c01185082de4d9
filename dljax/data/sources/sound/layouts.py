"""Which files say what: a folder per word, FSDD's names, manifests of JSON lines, Kaldi's lists."""

import json
import re
from pathlib import Path

from dljax.data.sources.divided import HIDDEN, divide
from dljax.data.sources.layout import some
from dljax.data.sources.part_names import SPELLINGS, part_folders
from dljax.data.sources.sound.audio import SUFFIXES
from dljax.data.sources.sound.recordings import Entry
from dljax.data.sources.text import half_pair

BESIDE = (*HIDDEN, "_")  # beginnings of folders that hold no words, as _background_noise_
FSDD = re.compile(r"(\d)_([^_]+)_(\d+)")
FSDD_TEST = 5  # recordings 0 to 4 of each speaker and digit are the official test set


def sound_files(folder: Path) -> list[Path]:
    """The sound files at any depth, sorted, without hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
    )


def fsdd(root: Path) -> dict[str, list[Entry]] | None:
    """Files named DIGIT_SPEAKER_INDEX.wav, of which FSDD's own split makes two parts.

    None where not every file directly in the folder (or in its recordings/) is named so.
    """
    folder = root / "recordings" if (root / "recordings").is_dir() else root
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".wav")
    named = [FSDD.fullmatch(path.stem) for path in files]
    if not files or not all(named):
        return None
    parts: dict[str, list[Entry]] = {"train": [], "test": []}
    for file, (digit, speaker, index) in zip(files, (m.groups() for m in named), strict=True):
        part = "test" if int(index) < FSDD_TEST else "train"
        parts[part].append(Entry(file, digit, speaker))
    return parts


def folder_per_word(root: Path) -> dict[str, list[Entry]] | None:
    """A folder of recordings per word, directly or below train/, test/ and val/ (see `divide`).

    Folders whose names begin with '_' (Speech Commands' background noise) are left out. None where
    there is no such folder. Raises ValueError for a word that train lacks, a folder without
    recordings, and what `divide` refuses.
    """
    folders = divide(root, BESIDE).parts
    parts = {part: _words(folder) for part, folder in folders.items()}
    if not any(parts.values()):
        return None
    if empty := [folders[part] for part in parts if not parts[part]]:
        raise ValueError(f"{empty[0]} has no folder of recordings per word: fill or remove it.")
    known = {entry.text for entry in parts["train"]}
    for part, entries in parts.items():
        if strange := sorted({entry.text for entry in entries} - known):
            raise ValueError(f"{root}: {part} has words that train lacks: {some(strange)}.")
    return parts


def folders_beside(root: Path) -> tuple[str, ...]:
    """Notes on the folders of a folder per word that are not used, or are words by chance."""
    return divide(root, BESIDE).notes


def _words(folder: Path) -> list[Entry]:
    entries = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(BESIDE):
            files = sound_files(path)
            if not files:
                raise ValueError(f"{path} has no sound files: fill or remove the folder.")
            entries += [Entry(file, path.name) for file in files]
    return entries


def manifests(root: Path) -> dict[str, list[Entry]] | None:
    """Manifests of JSON lines ('audio_filepath', 'text'): one file, or a folder of one per part.

    In a folder they are .json or .jsonl files with 'manifest' in their name, told apart by 'train',
    'val' (or 'dev') and 'test' in it. None where there are none.
    """
    if root.is_file():
        return {"train": manifest(root)} if root.suffix.lower() in (".json", ".jsonl") else None
    files = sorted(x for x in root.glob("*manifest*") if x.suffix.lower() in (".json", ".jsonl"))
    if not files:
        return None
    parts: dict[str, list[Entry]] = {}
    for file in files:
        words = re.split(r"[^a-z]+", file.stem.lower())
        found = [part for part, names in SPELLINGS.items() if set(names) & set(words)]
        if len(found) != 1 or found[0] in parts:
            raise ValueError(
                f"{file} can't be told apart: a folder's manifests have 'train', 'val' or 'test' "
                "in their names, one each. Name one file, or rename them."
            )
        parts[found[0]] = manifest(file)
    if "train" not in parts:
        raise ValueError(f"{root} has no train manifest, only {some(files)}.")
    return parts


def manifest(file: Path) -> list[Entry]:
    """The entries of one manifest, paths relative to it; ValueError names file and line.

    The speaker is the entry's 'speaker', or else the folder that its file lies in.
    """
    entries = []
    for number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            path, text = value["audio_filepath"], value["text"]
        except (json.JSONDecodeError, KeyError, TypeError):
            raise ValueError(
                f"{file}, line {number}: a manifest has a JSON object a line, with "
                "'audio_filepath' and 'text'."
            ) from None
        if not isinstance(path, str) or not isinstance(text, str):
            raise ValueError(f"{file}, line {number}: audio_filepath and text must be strings.")
        if half := half_pair(text):
            raise ValueError(f"{file}, line {number}: {half}")
        if value.get("offset"):
            raise ValueError(f"{file}, line {number}: an offset into a file is not read here.")
        path = file.parent / path
        entries.append(Entry(path, text, str(value.get("speaker", path.parent.name))))
    if not entries:
        raise ValueError(f"{file} has no entries.")
    return entries


def kaldi(root: Path) -> dict[str, list[Entry]] | None:
    """Kaldi's data folders: wav.scp and text (utt2spk too), in the folder or below train/, test/.

    None where there is no wav.scp.
    """
    if (root / "wav.scp").is_file():
        return {"train": _kaldi_part(root, root)}
    if not any(root.glob("*/wav.scp")):
        return None
    folders = part_folders(root)
    parts = {
        part: _kaldi_part(folders[part], root)
        for part in SPELLINGS
        if part in folders and (folders[part] / "wav.scp").is_file()
    }
    if not parts:
        return None
    if "train" not in parts:
        raise ValueError(f"{root} has {', '.join(parts)} with a wav.scp, but no train.")
    return parts


def _kaldi_part(folder: Path, root: Path) -> list[Entry]:
    if not (folder / "text").is_file():
        raise ValueError(f"{folder} has a wav.scp but no text.")
    sounds, texts = _table(folder / "wav.scp"), _table(folder / "text")
    speakers = _table(folder / "utt2spk") if (folder / "utt2spk").is_file() else {}
    if (folder / "segments").is_file():
        raise ValueError(f"{folder}/segments: segments of files are not read here.")
    missing = sorted(set(sounds) ^ set(texts))
    if missing:
        raise ValueError(f"{folder}: wav.scp and text differ in utterances: {some(missing)}.")
    entries = []
    for name, path in sounds.items():
        if path.endswith("|"):
            raise ValueError(
                f"{folder}/wav.scp, {name}: commands are not run, only files are read."
            )
        found = next((x for x in (folder / path, root / path, Path(path)) if x.is_file()), None)
        entries.append(Entry(found or root / path, texts[name], speakers.get(name, "")))
    return entries


def _table(file: Path) -> dict[str, str]:
    """{first word: the rest} of each line; ValueError for one that occurs twice."""
    table: dict[str, str] = {}
    for number, line in enumerate(_lines(file), 1):
        name, _, rest = line.strip().partition(" ")
        if not name:
            continue
        if name in table:
            raise ValueError(f"{file}, line {number}: {name} occurs twice.")
        table[name] = rest.strip()
    return table


def _lines(file: Path) -> list[str]:
    """The lines of a text file, which end at each line feed alone."""
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is not UTF-8 at byte {error.start} ({error.object[error.start]:#04x}): "
            "convert it (iconv -f WINDOWS-1252 -t UTF-8)"
        ) from None
