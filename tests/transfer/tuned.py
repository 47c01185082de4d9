"""Small fine-tuning tasks, which start from the weights of another task."""

import jax
import numpy as np
import optax

from dljax.cnn.classification import classifier
from dljax.nn.allconv import AllConv
from dljax.train import optim
from dljax.train.loop import Task
from dljax.transfer import finetuning
from dljax.transfer.lora import Adapted

SHAPE = (8, 8, 1)
MODEL = AllConv(classes=3, widths=(4,), norm=finetuning.frozen(AllConv.norm))


def pretrained() -> tuple[dict, dict]:
    """The shapes of the network's variables, and another task's variables for it, without head."""
    _, variables = MODEL.init_with_output(jax.random.key(7), np.zeros((1, *SHAPE)))
    like = finetuning.shapes(MODEL, SHAPE)
    return like, finetuning.backbone(variables, like)


def begun(task: Task, start: dict) -> Task:
    return task._replace(init=lambda key: task.init(key, start))


def layerwise() -> Task:
    """Layer-wise rates, unfreezing, L2-SP, BatchNorm's statistics frozen."""
    like, start = pretrained()
    depths = finetuning.depths(MODEL, like, SHAPE)
    rates = optax.chain(
        finetuning.layerwise_decay(depths, 0.7), finetuning.gradual_unfreezing(depths, 2)
    )
    decay = finetuning.l2_sp(1e-2, 1e-3, finetuning.is_head)
    tx = optim.optimizer("momentum", 0.1, decay=decay, rates=rates)
    return begun(classifier.task(MODEL, tx, image_shape=SHAPE, classes=3), start)


def adapters() -> Task:
    """Low-rank adapters and a head, beside weights that stay."""
    _, start = pretrained()
    model = Adapted(MODEL, rank=2)
    tx = optim.optimizer("momentum", 0.03)
    task = classifier.task(model, tx, image_shape=SHAPE, classes=3)
    return begun(task, model.split(start, {}))
