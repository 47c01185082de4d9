"""--predict of a segmentation of medical images."""


def predict(*a, **k):
    raise NotImplementedError
