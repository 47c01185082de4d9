"""Small tasks of medical images that several tests share."""

from dljax.cnn.medical import classifier
from dljax.cnn.medical.classifier import Target
from dljax.data import augment_nd
from dljax.nn.pooled_cnn import PooledCNN
from dljax.train import optim
from dljax.train.loop import Task

GRADES = Target(3, ordinal=4.0)


def small_classifier(target: Target = GRADES) -> Task:
    """Of stripes (tests/helpers.py), their classes as grades."""
    return classifier.task(
        PooledCNN(target.classes, (8,), first=4, dropout=0.1),
        optim.optimizer("momentum", 0.1),
        target,
        image_shape=(8, 8, 1),
        normalize=lambda x: x,
        augmentation=augment_nd.shift(1),
        flips=(1,),
    )
