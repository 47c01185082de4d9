"""Small stand-ins for the data that the commands of README.md and docs/ name: FILE.csv, photos, ...

`STAND_INS[page][name]` writes to a path what a reader of that page would have there; so a page's
commands can be run as they are printed. What a page names and is not here, no command can read.
"""

import functools
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import soundfile
from PIL import Image

from dljax.data.sources import load_images
from dljax.data.sources.embedded_text import books
from dljax.data.sources.people import orl
from tests.data import driving_files, tfds_set
from tests.rnn import corpora, sounds

Writer = Callable[[Path], object]


def random() -> np.random.Generator:
    return np.random.default_rng(0)


def save(path: Path, image: np.ndarray) -> None:
    """As PNG, whatever the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, "png")


@functools.cache
def digits(side: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [1437, side, side], int [1437]."""
    train = load_images("digits", size=(side, side)).train
    return train["image"][..., 0], train["label"]


def digit(path: Path) -> None:
    """One image of a digit."""
    save(path, digits(32)[0][3])


def classes(path: Path, each: int = 30, colour: bool = False) -> None:
    """A folder of images for each class."""
    images, labels = digits(32)
    for label in range(10):
        for i, image in enumerate(images[labels == label][:each]):
            pixels = np.stack([image, 255 - image, image], -1) if colour else image
            save(path / str(label) / f"{label}_{i}.png", pixels)


def zipped(path: Path) -> None:
    """The same in an archive."""
    with tempfile.TemporaryDirectory() as folder:
        classes(Path(folder, "flowers"))
        shutil.make_archive(str(path.with_suffix("")), "zip", folder)


def table(path: Path, column: str, label: Callable[[int], object], folder: str = "") -> None:
    """A CSV of the files that `classes` writes into photos/, and what a digit is there."""
    rows = [f"file,{column}"]
    rows += [
        f"{folder}{digit}/{digit}_{i}.png,{label(digit)}" for digit in range(10) for i in range(30)
    ]
    path.write_text("\n".join(rows))


def tfds_mnist(path: Path) -> None:
    images, labels = digits(28)
    parts = {"train": slice(0, 1300), "test": slice(1300, 1437)}
    tfds_set.write_set(
        path,
        {
            part: (list(images[rows, ..., None]), labels[rows].tolist())
            for part, rows in parts.items()
        },
        name="mnist",
        version="3.0.1",
        classes=tuple(map(str, range(10))),
        shape=(28, 28, 1),
    )


def medmnist(path: Path, classes: int, shape: tuple[int, ...], several: bool = False) -> None:
    """A .npz in MedMNIST's layout: a bright square whose place says the class."""
    arrays, rng = {}, random()
    for part, count in (("train", 120), ("val", 60), ("test", 60)):
        labels = rng.integers(0, classes, (count, 1))
        labels[:classes, 0] = np.arange(classes)
        images = rng.integers(0, 90, (count, *shape))
        for image, label in zip(images, labels[:, 0], strict=True):
            image[2 * label : 2 * label + 6] += 120
        if several:
            labels = (rng.random((count, classes)) < 0.3) | (labels == np.arange(classes))
        arrays[f"{part}_images"] = images.astype(np.uint8)
        arrays[f"{part}_labels"] = labels.astype(np.int64)
    with open(path, "wb") as file:  # savez would add an ending
        np.savez(file, **arrays)


def scans(path: Path) -> None:
    """Four images of each of 20 patients in two classes."""
    images, labels = digits(64)
    for label in (0, 1):
        for i, image in enumerate(images[labels == label][:40]):
            save(path / ("ill" if label else "well") / f"p{label}{i // 4}-{i}.png", image)


def squares(count: int) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int, int, int, int]]]:
    """Images uint8 [count, 64, 96, 3] with one square each, masks [count, 64, 96] of 0 and 255,
    and (class, left, top, width, height) of each; class 1 is dark."""
    rng = random()
    images = rng.integers(90, 160, (count, 64, 96, 3)).astype(np.uint8)
    masks, boxes = np.zeros(images.shape[:3], np.uint8), []
    for i, image in enumerate(images):
        side, label = int(rng.integers(16, 32)), i % 2
        top, left = int(rng.integers(0, 64 - side)), int(rng.integers(0, 96 - side))
        inside = (slice(top, top + side), slice(left, left + side))
        image[inside], masks[i][inside] = (240, 20)[label], 255
        boxes.append((label, left, top, side, side))
    return images, masks, boxes


def boxes(path: Path) -> None:
    """YOLO's layout."""
    images, _, found = squares(60)
    for i, (image, (label, left, top, width, height)) in enumerate(zip(images, found, strict=True)):
        part = "val" if i % 6 == 0 else "train"
        save(path / "images" / part / f"{i}.png", image)
        shares = ((left + width / 2) / 96, (top + height / 2) / 64, width / 96, height / 64)
        file = path / "labels" / part / f"{i}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(" ".join(map(str, (label, *shares))) + "\n")
    data = {"train": "images/train", "val": "images/val", "names": ["bright", "dark"]}
    (path / "data.yaml").write_text(json.dumps(data))


def masks(path: Path) -> None:
    images, found, _ = squares(40)
    for i, (image, mask) in enumerate(zip(images, found, strict=True)):
        save(path / "images" / f"{i}.png", image)
        save(path / "masks" / f"{i}.png", mask)


def membrane(path: Path) -> None:
    """Grey images of 256 x 256 with a net of dark lines, and masks that are 0 on the lines."""
    rng, ticks = random(), np.arange(256)
    for part, count in (("train", 6), ("test", 2)):
        for i in range(count):
            lines = [(ticks + rng.integers(40)) % 40 < 6 for _ in range(2)]
            cell = ~(lines[0][:, None] | lines[1])
            image = 110 * cell + rng.integers(30, 110, cell.shape)
            save(path / part / "images" / f"{i}.png", image.astype(np.uint8))
            save(path / part / "labels" / f"{i}.png", (255 * cell).astype(np.uint8))


def pictures(path: Path) -> None:
    for i, image in enumerate(squares(4)[0]):
        save(path / f"{i}.png", image)


@functools.cache
def faces() -> np.ndarray:
    """uint8 [40 people, 10, H, W]."""
    images = orl.load()[0]
    return images.reshape(40, 10, *images.shape[1:3])


def people(path: Path, each: int = 6) -> None:
    """A folder per person, of whom the pages call one NAME."""
    for number, images in enumerate(faces()[:20]):
        name = f"p_{number}" if number else "NAME"
        for i, image in enumerate(images[:each], start=1):
            save(path / name / f"{name}_{i:04d}.png", image)


def lfw(path: Path) -> None:
    """Two folds of eight pairs of the last eight people."""
    people(path)
    lines = ["2\t4"]
    for fold in (0, 1):
        first = 12 + 4 * fold
        lines += [f"p_{first + i}\t1\t2" for i in range(4)]
        lines += [f"p_{first + i}\t1\tp_{first + (i + 1) % 4}\t2" for i in range(4)]
    (path / "pairs.txt").write_text("\n".join(lines) + "\n")


def people_csv(path: Path) -> None:
    people(path.with_suffix(""))
    files = sorted(path.with_suffix("").rglob("*.png"))
    rows = [f"{file.relative_to(path.parent)},{file.parent.name}" for file in files]
    path.write_text("\n".join(["file,person", *rows]) + "\n")


def face(person: int, number: int) -> Writer:
    return lambda path: save(path, faces()[person, number])


def hourly(rows: int, first: int = 0) -> tuple[list[str], np.ndarray]:
    """Stamps, and daily waves with noise float [rows, 2]."""
    hours = first + np.arange(rows)
    stamps = np.datetime64("2021-03-01T00", "h") + hours.astype("timedelta64[h]")
    phases = hours[:, None] + np.array([0, 6])
    waves = 5 + np.sin(2 * np.pi * phases / 24) + 0.2 * random().normal(size=(rows, 2))
    return [str(x).replace("T", " ") + ":00" for x in stamps], waves


def series(path: Path, rows: int = 1200, first: int = 0) -> None:
    """Columns load and price."""
    stamps, waves = hourly(rows, first)
    lines = [f"{t},{a:.4f},{b:.4f}" for t, (a, b) in zip(stamps, waves, strict=True)]
    path.write_text("\n".join(["time,load,price", *lines]) + "\n")


def faults(path: Path) -> None:
    """Columns when, load and fault, which is 1 in six rows that are far off."""
    stamps, waves = hourly(800)
    fault = np.arange(800) // 6 == 100
    load = waves[:, 0] + 8 * fault
    lines = [f"{t},{x:.4f},{int(y)}" for t, x, y in zip(stamps, load, fault, strict=True)]
    path.write_text("\n".join(["when,load,fault", *lines]) + "\n")


def ett(path: Path) -> None:
    """The rows and columns of ETTh1."""
    stamps, waves = hourly(17420)
    rows = [
        ",".join([t, *(f"{x:.3f}" for x in (*w, *w, *w, w[0]))])
        for t, w in zip(stamps, waves, strict=True)
    ]
    path.write_text("\n".join(["date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT", *rows]) + "\n")


def nab(path: Path) -> None:
    names = [("artificialWithAnomaly", i) for i in range(3)]
    waves = [corpora.wave(400, i, windows=((250, 256),)) for _, i in names]
    corpus = [
        x._replace(name=f"{group}/{i}.csv") for x, (group, i) in zip(waves, names, strict=True)
    ]
    corpora.write_nab(path, corpus)


def text(path: Path, book: str = "Genesis", length: int = 60_000) -> None:
    path.write_text(books()[book][:length])


def texts(path: Path) -> None:
    path.mkdir()
    for book in ("Genesis", "Exodus", "Ruth", "Esther", "Mark"):
        text(path / f"{book}.txt", book, 20_000)


def text_lines(path: Path) -> None:
    documents = [books()["Genesis"][2000 * i : 2000 * (i + 1)] for i in range(30)]
    path.write_text("\n".join(json.dumps({"body": document}) for document in documents) + "\n")


def labelled_texts(path: Path) -> None:
    lines = ["text,label"]
    for book in ("Genesis", "Mark"):
        words = books()[book].replace('"', "").split()
        lines += [f'"{" ".join(words[12 * i : 12 * i + 12])}",{book}' for i in range(150)]
    path.write_text("\n".join(lines) + "\n")


def sound(path: Path) -> None:
    soundfile.write(path, sounds.strings(1).waves[0], sounds.RATE, subtype="PCM_16", format="WAV")


def words(path: Path, count: int = 90) -> None:
    """A folder for each of three words; the speaker is part of a file's name."""
    recordings = sounds.tones(count)
    for i, (wave, word) in enumerate(zip(recordings.waves, recordings.texts, strict=True)):
        file = path / word / f"{recordings.speakers[i]}_{i}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, wave, sounds.RATE, subtype="PCM_16")


def manifests(path: Path) -> None:
    for part, count, seed in (("train", 42, 1), ("test", 10, 2)):
        recordings, lines = sounds.strings(count, seed), []
        for i, (wave, said) in enumerate(zip(recordings.waves, recordings.texts, strict=True)):
            file = path / f"who{i % 5}" / f"{part}{i}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, wave, sounds.RATE, subtype="PCM_16")
            entry = {"audio_filepath": str(file.relative_to(path)), "text": said}
            lines.append(json.dumps(entry))
        (path / f"{part}_manifest.json").write_text("\n".join(lines))


def drives(path: Path) -> None:
    for seed in (0, 1):
        driving_files.udacity(path / f"drive{seed}", count=driving_files.LONGEST, seed=seed)


def frames(path: Path) -> None:
    shown = driving_files.drive(0)[0][:20]
    driving_files.write_pictures(path, shown, [f"{i:03d}.png" for i in range(20)])


def volume(path: Path, label: np.ndarray, levels: float = 60.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = levels * label + random().normal(0, 10, label.shape)
    nibabel.save(nibabel.Nifti1Image(image.astype(np.float32), np.eye(4)), path)


def decathlon(path: Path, side: int = 24, cases: int = 8) -> None:
    for i in range(cases):
        label = np.zeros((side, side, side), np.uint8)
        label[4 + i : 12 + i, 5:14, 6:15] = 1
        volume(path / "imagesTr" / f"case_{i}.nii.gz", label)
        file = path / "labelsTr" / f"case_{i}.nii.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), file)
    names = {"labels": {"0": "background", "1": "organ"}}
    (path / "dataset.json").write_text(json.dumps(names))


def films(path: Path) -> None:
    """Sixty GIFs of a digit that moves to the right."""
    path.mkdir()
    for i, image in enumerate(digits(8)[0][:60]):
        film = [Image.fromarray(np.roll(np.pad(image, 8), 2 * t, 1)) for t in range(12)]
        film[0].save(path / f"{i}.gif", save_all=True, append_images=film[1:], duration=100)


IMAGES: dict[str, Writer] = {
    "FOLDER": classes,
    "IMAGE": digit,
    "IMAGE_OR_FOLDER": lambda path: classes(path, 2),
    "photos": functools.partial(classes, colour=True),
    "pathmnist.npz": functools.partial(medmnist, classes=9, shape=(28, 28, 3)),
    "DIR": tfds_mnist,
}
STAND_INS: dict[str, dict[str, Writer]] = {
    "README.md": {"FILE.csv": series},
    "docs/anomaly_detection.md": {"FOLDER": nab, "FILE.csv": faults},
    "docs/autonomous_driving.md": {
        "DRIVES": drives,
        "OTHER_DRIVES": drives,
        "FRAMES": frames,
        "PICTURE_OR_FOLDER": frames,
    },
    "docs/command_line.md": IMAGES,
    "docs/face_recognition.md": {
        "FOLDER": people,
        "IMAGE_OR_FOLDER": people,
        "A.png": face(0, 0),
        "B.png": face(0, 1),
        "photos": people,
        "lfw": lfw,
        "people.csv": people_csv,
    },
    "docs/forecasting.md": {
        "ETTh1.csv": ett,
        "FILE.csv": series,
        "LATER.csv": functools.partial(series, first=1200),
    },
    "docs/gan.md": IMAGES | {"FOLDER": films},
    "docs/image_classification.md": IMAGES
    | {
        "flowers.zip": zipped,
        "retinamnist.npz": functools.partial(medmnist, classes=5, shape=(28, 28, 3)),
        "labels.csv": functools.partial(table, column="species", label="abcdefghij".__getitem__),
        "tags.csv": functools.partial(
            table,
            column="cat,dog,bird",
            label=lambda x: f"{x % 2},{x // 2 % 2},{x // 4 % 2}",
            folder="photos/",
        ),
        "ages.csv": functools.partial(table, column="age", label=lambda x: 7 * x, folder="photos/"),
    },
    "docs/image_segmentation.md": {
        "IMAGE_FILM_OR_FOLDER": pictures,
        "FOLDER": masks,
        "OTHER_FOLDER": masks,
        "membrane": membrane,
    },
    "docs/language_modeling.md": {
        "FILE.txt": text,
        "FOLDER": texts,
        "FILE.jsonl": text_lines,
        "tinyshakespeare.txt": text,
        "warpeace_input.txt": text,
        "FILE.csv": labelled_texts,
        "OTHER.csv": labelled_texts,
    },
    "docs/medical_imaging.md": {
        "pneumoniamnist.npz": functools.partial(medmnist, classes=2, shape=(28, 28)),
        "breastmnist.npz": functools.partial(medmnist, classes=2, shape=(28, 28)),
        "retinamnist.npz": functools.partial(medmnist, classes=5, shape=(28, 28, 3)),
        "adrenalmnist3d.npz": functools.partial(medmnist, classes=2, shape=(28, 28, 28)),
        "chestmnist.npz": functools.partial(medmnist, classes=14, shape=(28, 28), several=True),
        "scans": scans,
        "IMAGE_OR_FOLDER_OR_NPZ": lambda path: classes(path, 2),
        "NPZ_OR_FOLDER": functools.partial(medmnist, classes=2, shape=(28, 28)),
        "Task04_Hippocampus": decathlon,
        "Task09_Spleen": functools.partial(decathlon, side=32),
        "patient.nii.gz": lambda path: volume(path, np.pad(np.ones((40, 40, 40)), 12)),
    },
    "docs/object_detection.md": {
        "IMAGE_FILM_OR_FOLDER": pictures,
        "FOLDER": boxes,
        "OTHER_FOLDER": boxes,
    },
    "docs/sequence_probes.md": {"DIR": tfds_mnist},
    "docs/speech_recognition.md": {
        "SOUND_OR_FOLDER": words,
        "SOUND": sound,
        "FOLDER": words,
        "OTHER_FOLDER": words,
        "MANIFEST": manifests,
    },
    "docs/transfer_learning.md": IMAGES,
}
