"""Medical images. (A stand-in: the classification half has the real one.)"""


def is_classification(dataset: str) -> bool:
    """Whether a data set has one label for each image."""
    return dataset.endswith(".npz")
