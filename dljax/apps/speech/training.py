"""What is trained: the network, its front end, its augmentation, its Task."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from dljax.apps.configs.speech_recognition import Config
from dljax.apps.speech.data import spectrum
from dljax.nn.recurrent.layers import GRU, LSTM
from dljax.nn.speech_encoder import SpeechClassifier, SpeechEncoder, SpeechTagger
from dljax.rnn.speech import ctc, words
from dljax.rnn.speech.features import Statistics
from dljax.rnn.speech.front import Augmentation, Front
from dljax.run import optimizer
from dljax.train.loop import Task


def network(config: Config, classify: bool, symbols: int) -> nn.Module:
    """The Flax module of a Config: a classifier of words, or an encoder for CTC."""
    encoder = SpeechEncoder(
        config.channels,
        config.strides,
        config.features,
        config.depth,
        {"gru": GRU, "lstm": LSTM}[config.cell],
        bidirectional=config.bidirectional,
        causal=not config.bidirectional,
        dropout=config.dropout,
        dtype=jnp.dtype(config.dtype),
    )
    return SpeechClassifier(symbols, encoder) if classify else SpeechTagger(symbols, encoder)


def front(config: Config, classify: bool, rate: int, statistics: Statistics) -> Front:
    """The front end with its normalisation."""
    chosen = config.normalization
    if chosen == "auto" and classify:
        chosen = "level"
    elif chosen == "auto":
        chosen = "utterance" if config.bidirectional else "running"
    return Front(spectrum(config, rate), chosen, statistics)


def augmentation(config: Config) -> Augmentation:
    """What --speed, --noise, --mask_filters and --mask_seconds ask for."""
    return Augmentation(
        config.speed or None, config.noise or None, config.mask_filters, config.mask_seconds
    )


def make_task(
    config: Config,
    model: nn.Module,
    front: Front,
    classify: bool,
    symbols: int,
    lengths: tuple[int, ...] = (),
) -> Task:
    """The Task of a Config: its optimiser, augmentation and loss around `model`."""
    tx, augment = optimizer.transformation(config), augmentation(config)
    if classify:
        return words.task(
            model,
            tx,
            front=front,
            classes=symbols,
            augment=augment,
            label_smoothing=config.label_smoothing,
            lengths=lengths,
        )
    return ctc.task(model, tx, front=front, augment=augment, lengths=lengths)
