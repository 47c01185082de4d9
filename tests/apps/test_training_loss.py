"""The line about a training loss that can't be compared with the validation loss."""

from dljax.apps import image_classification, training_loss
from dljax.apps.configs.image_classification import Config


def test_it_names_what_the_validation_loss_lacks():
    assert training_loss.note(0.0, 0.0) == ()
    (line,) = training_loss.note(0.1, 0.0, 0.2)
    assert "training loss is with label smoothing 0.1 and cutmix, the validation loss" in line


def test_image_classification_says_so():
    notes = image_classification.build(Config(baselines=False, quiet=True)).notes
    assert any("with label smoothing 0.1, the validation loss is without" in x for x in notes)
