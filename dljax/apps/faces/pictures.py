"""The pictures of a run of face recognition."""

from __future__ import annotations

from pathlib import Path

import flax.linen as nn
import jax
import numpy as np

from dljax import plots
from dljax.apps.configs.face_recognition import Config
from dljax.apps.faces import embedding, scoring
from dljax.apps.faces import front as fronts
from dljax.apps.faces.data import FaceData
from dljax.cnn.faces import baselines, identification, verification
from dljax.train.loop import Run

HARDEST, MAPPED, LOOKED_AT = 6, 1000, 6
PATCH, STRIDE = 0.2, 0.1  # of an image's height: side of what is hidden, steps between


def draw(
    config: Config,
    model: nn.Module,
    data: FaceData,
    run: Run,
    found: dict[str, np.ndarray],
    threshold: float | None,
    folder: Path,
) -> None:
    """All pictures, of the first seed. found: embeddings [seeds, N, D] of the parts."""
    first, test = found["test"][0], data.test
    simple = {}
    if config.baselines:
        simple = baselines.embeddings(data.train.images, data.train.person)
    simple = {name: function(test.images) for name, function in simple.items()}
    if config.protocol == "closed":
        curves = {}
        ways = {"network": (found["train"][0], first)}
        for name, function in baselines.embeddings(data.train.images, data.train.person).items():
            ways[name] = function(data.train.images), function(test.images)
        for name, (gallery, probes) in ways.items():
            result = scoring.closed(gallery, data.train.person, probes, test.person)
            curves[name] = identification.cumulative_match(result.rank, len(result.people))
        plots.faces.cumulative_match(curves, folder / "cmc.png")
    if len(np.unique(test.person)) == len(test.person):
        return
    pairs = verification.all_pairs(first, test.person)
    error = {"network": verification.curve(pairs.genuine, pairs.impostor)}
    for name, vectors in simple.items():
        own = verification.all_pairs(vectors, test.person)
        error[name] = verification.curve(own.genuine, own.impostor)
    named = {
        f"{name} (EER {verification.equal_error_rate(c):.1%})": (c.far, c.frr)
        for name, c in error.items()
    }
    people = "unseen" if config.protocol == "open" else "test"
    title = f"{len(np.unique(test.person))} {people} people, {len(test.person)} images"
    plots.faces.detection_error(named, folder / "det.png", title)
    plots.faces.score_histogram(pairs.genuine, pairs.impostor, threshold, folder / "scores.png")
    hardest(pairs, test.images, data, folder / "hardest_pairs.png")
    mapped(first, data, folder / "embeddings.png")
    looked_at(config, model, data, run, first, folder / "occlusion.png")


def hardest(pairs: verification.Pairs, images: np.ndarray, data: FaceData, path: Path) -> None:
    """The pairs of one person with the lowest cosines, and those of two with the highest."""
    names, rows = data.faces.people, []
    low, high = np.argsort(pairs.genuine)[:HARDEST], np.argsort(-pairs.impostor)[:HARDEST]
    for title, chosen, score, which in (
        ("One person, lowest cosines", low, pairs.genuine, pairs.genuine_rows),
        ("Two people, highest cosines", high, pairs.impostor, pairs.impostor_rows),
    ):
        shown = []
        for i in chosen:
            a, b = which[i]
            who = dict.fromkeys(names[data.test.person[x]] for x in (a, b))
            shown.append((images[a], images[b], f"{', '.join(who)}: {score[i]:.2f}"))
        rows.append((title, shown))
    plots.faces.pairs(rows, path)


def mapped(embeddings: np.ndarray, data: FaceData, path: Path) -> None:
    """A t-SNE of up to MAPPED test images."""
    from sklearn.manifold import TSNE

    count = min(len(embeddings), MAPPED)
    if count < 5:
        return
    perplexity = min(15.0, (count - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, metric="cosine", init="random", random_state=0)
    names = [data.faces.people[i] for i in data.test.person[:count]]
    places = tsne.fit_transform(embeddings[:count].astype(np.float64))
    plots.faces.embedding_map(
        places, names, path, f"t-SNE of the embeddings of {count} test images"
    )


def looked_at(
    config: Config, model: nn.Module, data: FaceData, run: Run, first: np.ndarray, path: Path
) -> None:
    """How much the cosine with the person's template falls where a grey square hides a place."""
    chosen, seen = [], set()
    for i, person in enumerate(data.test.person.tolist()):
        if person not in seen and len(chosen) < LOOKED_AT:
            seen.add(person)
            chosen.append(i)
    means, people = identification.templates(first, data.test.person)
    state = jax.tree.map(lambda x: x[:1], run.states)
    found = []
    for i in chosen:
        image = data.test.images[i]
        template = means[np.searchsorted(people, data.test.person[i])]
        hidden, places = occluded(image)
        inputs = fronts.evaluated(data.front, hidden, config.flip)
        cosines = embedding.of_seeds(model, state, data.front, inputs)[0] @ template
        lost = (float(first[i] @ template) - cosines).reshape(places)
        name = data.faces.people[data.test.person[i]]
        found.append((image, _enlarged(lost, image.shape[:2]), name))
    title = "What the network looks at: cosine lost where a square hides the place"
    plots.faces.occlusion(found, path, title)


def occluded(image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """(copies of image [H, W, C] with a square of its mean level, rows and columns of squares)."""
    height, width, _ = image.shape
    side, step = max(1, round(PATCH * height)), max(1, round(STRIDE * height))
    tops, lefts = (np.arange(step // 2, length, step) for length in (height, width))
    copies = []
    for top in tops:
        for left in lefts:
            copy = image.copy()
            rows = slice(max(0, top - side // 2), top + side // 2)
            copy[rows, max(0, left - side // 2) : left + side // 2] = image.mean((0, 1))
            copies.append(copy)
    return np.stack(copies), (len(tops), len(lefts))


def _enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values on a grid [h, w] at each pixel [H, W], that of the nearest place of the grid."""
    rows, columns = (
        np.minimum(np.arange(n) * m // n, m - 1) for n, m in zip(size, values.shape, strict=True)
    )
    return values[rows][:, columns]
