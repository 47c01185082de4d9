"""What simple methods reach on the same images: pixels, eigenfaces, LDA, a linear SVM.

Each is a map from images to vectors, whose cosines are scored as a network's embeddings are; the
SVM classifies people directly, so that it has scores in the closed set alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dljax.cnn.faces.identification import unit

COMPONENTS = 60  # that LDA is fitted on; with 100 and 150 it is worse on ORL
Embed = Callable[[np.ndarray], np.ndarray]


def flat(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, C] to float64 [N, H W C] in 0..1."""
    return images.reshape(len(images), -1) / 255.0


def embeddings(images: np.ndarray, person: np.ndarray) -> dict[str, Embed]:
    """name -> images [N, H, W, C] to vectors [N, D] of length 1, fitted to training images.

    pixels: less the mean image. eigenfaces (Turk & Pentland 1991): the components that hold 95 % of
    the variance. lda: of up to COMPONENTS such components (Belhumeur et al. 1997,
    fisherfaces).
    """
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x = flat(images)
    mean = x.mean(0)
    found: dict[str, Embed] = {"pixels": lambda images: unit(flat(images) - mean)}
    faces = PCA(0.95, svd_solver="full").fit(x)
    found["eigenfaces"] = lambda images: unit(faces.transform(flat(images)))
    people = len(np.unique(person))
    components = min(COMPONENTS, len(x) - people, x.shape[1])
    if people > 1 and components > 0:
        reduced = PCA(components, svd_solver="full").fit(x)
        lda = LinearDiscriminantAnalysis()
        lda.fit(reduced.transform(x), person)
        found["lda"] = lambda images: unit(lda.transform(reduced.transform(flat(images))))
    return found


def closed_set(
    images: np.ndarray, person: np.ndarray, probes: np.ndarray, actual: np.ndarray
) -> dict[str, float]:
    """name -> share of probes that get their own person's name; all arguments as in `embeddings`.

    Nearest neighbour by Euclidean distance on pixels and on eigenfaces; LDA's own classifier and a
    linear SVM (C = 1, one against one), the latter on pixels.
    """
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    x, queries = flat(images), flat(probes)
    components = min(COMPONENTS, len(x) - len(np.unique(person)), x.shape[1])
    models = {
        "pixels": KNeighborsClassifier(1),
        "eigenfaces": make_pipeline(PCA(0.95, svd_solver="full"), KNeighborsClassifier(1)),
        "svm": SVC(kernel="linear"),
    }
    if components > 0:
        lda = LinearDiscriminantAnalysis()
        models["lda"] = make_pipeline(PCA(components, svd_solver="full"), lda)
    return {
        name: float(model.fit(x, person).score(queries, actual)) for name, model in models.items()
    }
