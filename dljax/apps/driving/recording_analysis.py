"""What a driver that learned from recordings reaches on its test drives: scores and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from dljax import plots
from dljax.cnn.driving import open_loop, recorded
from dljax.cnn.driving.open_loop import Scores
from dljax.cnn.driving.target import Target
from dljax.data.drives import Stretch, smoothed
from dljax.data.sources.driving import frames
from dljax.run.experiment import Analysis
from dljax.train.bootstrap import Estimate
from dljax.train.export import in_pieces
from dljax.train.loop import Run
from dljax.train.supervised import State

WORST = 8  # pictures
SECOND = 1.0


def predictions(model: nn.Module, target: Target, states: State, images: np.ndarray) -> np.ndarray:
    """Degrees [S, N] that each seed's network steers at uint8 pictures [N, h, w, 3]."""

    @jax.jit
    def function(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"degrees": recorded.answer(model, target, states, inputs["image"]).T}

    return in_pieces(function, {"image": images})["degrees"].T


def analyze(
    model: nn.Module,
    target: Target,
    parts: Mapping[str, Stretch],
    train: Mapping[str, np.ndarray],
    simple: Mapping[str, np.ndarray],
    positive: str,
) -> Callable[[Run, dict, dict], Analysis]:
    """The function of an Experiment that scores each seed, and the mean of their angles.

    simple: name -> predictions of methods without pictures on the test part.
    """
    test = parts["test"]

    def function(run: Run, metrics: dict, baselines: dict) -> Analysis:
        del metrics, baselines
        each = predictions(model, target, run.states, test.image)
        found = review(test, each)
        findings = {
            "open_loop": {
                "seeds_averaged": described(found.averaged),
                "against": {
                    name: open_loop.against(each.mean(0), x, test.angle)._asdict()
                    for name, x in simple.items()
                },
                "window_stamps": found.window,
                "of_the_average_angle": described(found.on_average),
                "average_angle_itself": described(found.taps),
            }
        }

        def draw(folder: Path) -> None:
            calm = smoothed(test.angle, test.drive, found.window)
            drawn(folder, test, each, calm, train, simple, positive)

        return Analysis(findings, lines(found), {}, draw, found.of_seeds)

    return function


class Review(NamedTuple):
    """Scores of predictions. averaged: of the seeds' mean angle; on_average: of it, as a prediction
    of the driver's angle averaged over `window` stamps; taps: of that average itself; of_seeds:
    name -> what can't be summed over batches, [S]."""

    averaged: Scores
    on_average: Scores
    taps: Scores
    window: int
    of_seeds: dict[str, np.ndarray]


def review(part: Stretch, each: np.ndarray) -> Review:
    """The scores of the degrees [S, N] that each seed steered on a part."""
    width = window(part)
    calm = smoothed(part.angle, part.drive, width)
    seeds = [open_loop.scores(x, part.angle) for x in each]
    averaged, on_average = (open_loop.scores(each.mean(0), x) for x in (part.angle, calm))
    of_seeds = {
        "skill": np.array([x.skill.value for x in seeds]),
        "bias_degrees": np.array([x.bias.value for x in seeds]),
        "correlation": np.array([x.correlation for x in seeds]),
    }
    return Review(averaged, on_average, open_loop.scores(calm, part.angle), width, of_seeds)


def window(part: Stretch) -> int:
    """How many stamps a second has, an odd number; 9 where the log tells no time in seconds."""
    steps = np.diff(part.time)[np.diff(part.drive) == 0]
    step = float(np.median(steps)) if len(steps) else 1.0
    count = round(SECOND / step) if 0 < step < SECOND / 2 else 9
    return count + 1 - count % 2


def described(found: Scores) -> dict[str, Any]:
    """Scores for summary.json."""
    return {k: x._asdict() if isinstance(x, Estimate) else x for k, x in found._asdict().items()}


def lines(review: Review) -> tuple[str, ...]:
    """The scores in words."""
    found, on_average, taps, width, _ = review
    skill = found.skill
    if skill.low > 0:
        verdict = "better than always straight"
    elif skill.high < 0:
        verdict = "worse than always straight"
    else:
        verdict = "no significant difference from always straight"
    return (
        f"the seeds' mean angle: MAE {found.mae.value:.2f} degrees (95 %: {found.mae.low:.2f} to "
        f"{found.mae.high:.2f}), RMSE {found.rmse.value:.2f} ({found.rmse.low:.2f} to "
        f"{found.rmse.high:.2f}), MAE {found.turning_mae.value:.2f} where the driver turned, "
        f"correlation {found.correlation:.2f}",
        f"skill, 1 - MSE / MSE of always straight: {_spanned(skill)}: {verdict}",
        f"on average it steers {found.bias.value:+.2f} degrees (95 %: {found.bias.low:+.2f} to "
        f"{found.bias.high:+.2f}) from the driver; without that bias its errors' variance is "
        f"{found.unbiased_skill:.1%} below that of the angles",
        f"the driver's own angle averaged over {width} stamps has a skill of {_spanned(taps.skill)}"
        f"; as a prediction of that average the network has {_spanned(on_average.skill)}, "
        f"correlation {on_average.correlation:.2f}",
    )


def _spanned(found: Estimate) -> str:
    return f"{found.value:.3f} (95 %: {found.low:.3f} to {found.high:.3f})"


def drawn(
    folder: Path,
    test: Stretch,
    each: np.ndarray,
    calm: np.ndarray,
    train: Mapping[str, np.ndarray],
    simple: Mapping[str, np.ndarray],
    positive: str,
) -> None:
    """The pictures: angles over time, balance, error by angle, the worst frames."""
    mean = each.mean(0)
    plots.steering.angles_over_time(
        test.time, test.drive, test.angle, each, calm, folder / "angles_over_time.png"
    )
    plots.steering.balance(train["angle"], train["weight"], folder / "balance.png")
    plots.steering.error_by_angle(
        test.angle, {"network": mean, **simple}, folder / "error_by_angle.png"
    )
    worst = apart(np.abs(mean - test.angle), WORST)
    plots.steering.frames(
        [frames.picture(test.files[i]) for i in worst],
        {"driver": test.angle[worst], "network": mean[worst]},
        [f"driver {test.angle[i]:+.1f}°, network {mean[i]:+.1f}°" for i in worst],
        positive,
        folder / "worst_frames.png",
    )


def apart(error: np.ndarray, count: int, distance: int = 10) -> list[int]:
    """The indices of the largest errors [N], so many stamps apart at least, largest first."""
    chosen: list[int] = []
    for i in np.argsort(-error, kind="stable").tolist():
        if all(abs(i - j) >= distance for j in chosen):
            chosen.append(i)
        if len(chosen) == count:
            break
    return chosen
