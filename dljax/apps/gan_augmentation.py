"""Samples of a GAN as training data of a classifier with few labelled images: a comparison."""

from __future__ import annotations

from dljax.apps.augmentation import report, training
from dljax.apps.augmentation.training import ARMS, SAMPLES, Trained
from dljax.apps.configs.gan_augmentation import Config
from dljax.run.experiment import Outcome


def train(config: Config) -> Outcome:
    """Trains and scores all arms and draws their gains."""
    data, chosen, samples, summaries = training.prepare(config), [], {}, []

    def say(line: str) -> None:
        if not config.quiet:
            print(line, flush=True)

    for labels in config.labels:
        samples[labels], summary = training.generated(config, data, labels)
        summaries.append(summary)
        say(f"{labels} labels: a GAN for each of {config.num_seeds} seeds")
        for arm in ARMS:
            mixed = arm in SAMPLES
            candidates = [
                training.trained(
                    config, data, arm, labels, share, samples[labels] if mixed else None
                )
                for share in (config.shares if mixed else (0.0,))
            ]
            summaries += [one.outcome.summary for one in candidates]
            accuracies = (
                f"{x.validation():.4f}" + f" with {x.share:.0%} samples" * mixed for x in candidates
            )
            say(f"{labels} labels, {arm}: validation accuracy {', '.join(accuracies)}")
            chosen.append(max(candidates, key=Trained.validation))
    accuracy = report.test_accuracy(data, chosen)
    shares = {f"{x.arm}_{x.labels}": x.share for x in chosen if x.share}
    summary = report.write(config, data, accuracy, shares, samples, summaries, say)
    return Outcome(None, {}, summary)


def run(config: Config) -> None:
    """What the command line does."""
    train(config)
