"""The gallery of a run: who is enrolled; and what is asked of it.

workdir/gallery.npz holds the names of people, a template of each, and the digest of the network
that made the templates: no images and no file names. A template is biometric data all the same.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dljax.cnn.faces import identification
from dljax.cnn.faces.calibration import Calibration
from dljax.data.sources import Levels, read_images
from dljax.data.sources.people import Frame, load_faces
from dljax.train import export, files
from dljax.train.export import Serving
from dljax.transfer.linear_probe import digest

FILE = "gallery.npz"
UNDECIDED = "no threshold: nobody was held out in training to choose one by"
SHOWN = 3  # people that an image is compared with, in the table


class Model(NamedTuple):
    """What the uses need of a run.

    frame: how images are brought to its size. decision: what held-out people have set; None:
    nobody was held out. digest: of the network, which templates belong to.
    """

    serving: Serving
    frame: Frame
    decision: Mapping[str, Any] | None
    workdir: Path
    digest: str

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Embeddings float32 [N, D] of framed images uint8 [N, H, W, C]."""
        return export.answers(self.serving, {"image": images})["embedding"]

    def channels(self) -> int:
        return self.serving.inputs["image"].shape[-1]

    def levels(self) -> Levels | None:
        found = self.serving.metadata.get("levels")
        return found and Levels(*found)


class Gallery(NamedTuple):
    """names [P]; templates float32 [P, D] of length 1; digest: of the network."""

    names: tuple[str, ...]
    templates: np.ndarray
    digest: str


def model(
    serving: Serving, frame: Frame, decision: Mapping[str, Any] | None, workdir: str
) -> Model:
    """A run for use, from what it serves."""
    return Model(serving, frame, decision, Path(workdir), digest(serving.weights))


def read(workdir: Path) -> Gallery | None:
    """The gallery in a workdir; None where nobody was enrolled yet. ValueError if damaged."""
    path = workdir / FILE
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as found:
            names = tuple(map(str, found["names"]))
            return Gallery(names, found["templates"], str(found["digest"]))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        said = " ".join(str(error).split())[:100]
        raise ValueError(f"{path} is damaged ({said}): delete it and enroll again") from None


def _write(workdir: Path, gallery: Gallery) -> None:
    content = io.BytesIO()
    np.savez(content, names=np.array(gallery.names, str), templates=gallery.templates,
             digest=np.array(gallery.digest))  # fmt: skip
    files.replace(workdir / FILE, content.getvalue())


def _fitting(model: Model) -> Gallery | None:
    """The gallery of the model's workdir; ValueError for templates of another network."""
    found = read(model.workdir)
    if found and found.digest != model.digest:
        raise ValueError(
            f"{model.workdir / FILE} was made by another network than the one trained here: delete "
            "it and enroll again"
        )
    return found


def enroll(model: Model, folder: str) -> Gallery:
    """Adds the people of a folder per person, or replaces those of the same name.

    Raises FileNotFoundError, ValueError as `load_faces`; then nothing is changed.
    """
    before = _fitting(model) or Gallery((), np.zeros((0, 0), np.float32), model.digest)
    if folder == "orl" or not Path(folder).is_dir():
        raise FileNotFoundError(f"There is no folder {folder} with a folder of images per person.")
    faces = load_faces(folder, model.frame, channels=model.channels(), levels=model.levels())
    means, _ = identification.templates(model.embed(faces.images), faces.person)
    kept = [i for i, name in enumerate(before.names) if name not in faces.people]
    replaced = len(before.names) - len(kept)
    old = before.templates[kept] if kept else np.zeros((0, means.shape[1]), np.float32)
    names = (*(before.names[i] for i in kept), *faces.people)
    gallery = Gallery(names, np.concatenate([old, means]).astype(np.float32), model.digest)
    _write(model.workdir, gallery)
    for note in (*faces.left_out, *faces.notes):
        print(note)
    print(
        f"{len(faces.people)} people enrolled from {len(faces.person)} images ({replaced} of them "
        f"replaced); {len(names)} in {model.workdir / FILE}"
    )
    return gallery


def remove(workdir: str, name: str) -> Gallery:
    """Takes a person out of the gallery; ValueError for a name that is not in it."""
    found = read(Path(workdir))
    if found is None or name not in found.names:
        have = ", ".join(found.names[:20]) if found else "nobody"
        raise ValueError(f"{name!r} is not in the gallery of {workdir}, which has {have}")
    kept = [i for i, other in enumerate(found.names) if other != name]
    gallery = found._replace(
        names=tuple(found.names[i] for i in kept), templates=found.templates[kept]
    )
    _write(Path(workdir), gallery)
    print(f"{name} removed; {len(kept)} people left in {Path(workdir) / FILE}")
    return gallery


def identify(model: Model, path: str) -> list[dict[str, Any]]:
    """Who of the gallery an image shows, or each of a folder; the best few with their cosines.

    Below the threshold that held-out people have set, nobody. Writes predictions/identified.csv;
    returns its rows: file, person ("" for nobody), cosine, best.
    """
    gallery = _fitting(model)
    if not gallery or not gallery.names:
        raise ValueError(f"nobody is enrolled in {model.workdir}: --enroll=FOLDER does that")
    images = _read(model, path)
    scores = model.embed(images.images) @ gallery.templates.T
    chosen = model.decision or {}
    threshold = chosen.get("identify")
    rows = []
    for name, own in zip(images.names, scores, strict=True):
        order = (-own).argsort(kind="stable")[:SHOWN]
        known = threshold is None or own[order[0]] > threshold
        best = "; ".join(f"{gallery.names[i]} {own[i]:.3f}" for i in order)
        person = gallery.names[order[0]] if known else ""
        cosine = round(float(own[order[0]]), 4)
        rows.append({"file": name, "person": person, "cosine": cosine, "best": best})
        print(f"{name}: {person or 'nobody who is enrolled'} ({best})")
    files.write_csv(model.workdir / "predictions" / "identified.csv", rows)
    if threshold is None:
        print(UNDECIDED)
    else:
        print(
            f"threshold {threshold:.3f}, at a false match rate of {chosen['fmr']:.2%} for each "
            "enrolled person, on people held out in training; below it an image is nobody's"
        )
    return rows


def verify(model: Model, first: str, second: str) -> dict[str, float | None]:
    """Whether two images show one person: {"cosine", "probability"}.

    The probability is that of the held-out people, for a pair that is as often of one person as of
    two; None where nobody was held out.
    """
    images = np.concatenate([_read(model, path).images[:1] for path in (first, second)])
    cosine = float(np.prod(model.embed(images), axis=0).sum())
    if model.decision is None:
        print(f"cosine {cosine:.3f}; {UNDECIDED}")
        return {"cosine": cosine, "probability": None}
    chosen = model.decision
    probability = float(Calibration(**chosen["probability"])(cosine))
    same = cosine > chosen["threshold"]
    print(
        f"{'one person' if same else 'two people'}: cosine {cosine:.3f} (threshold "
        f"{chosen['threshold']:.3f}, at a false match rate of {chosen['fmr']:.2%} on people held "
        f"out in training), probability of one person {probability:.3f} if both were as likely"
    )
    return {"cosine": cosine, "probability": probability}


def _read(model: Model, path: str) -> Any:
    images = read_images(path, channels=model.channels(), cut=model.frame, levels=model.levels())
    for line in (*(f"skipped: {skipped}" for skipped in images.skipped), *images.notes):
        print(line)
    return images
