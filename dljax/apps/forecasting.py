"""Multi-step forecasts of time series with prediction intervals."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dljax.apps.configs.forecasting import POINT, Config
from dljax.apps.forecasting_data import (
    SCALERS,
    make_windows,
    of_series,
    one_window_set,
    read,
    read_as_trained,
    record,
    scalers,
)
from dljax.data.feed import Examples
from dljax.data.sources.series import Series
from dljax.data.windows import Scaler, all_windows
from dljax.nn import forecasters
from dljax.nn.recurrent import layers
from dljax.rnn.forecasting import (
    assessment,
    backtest,
    combination,
    forecaster,
    likelihoods,
    prediction,
    report,
)
from dljax.rnn.forecasting.assessment import Forecasts
from dljax.rnn.forecasting.forecaster import Forecaster, Shapes
from dljax.rnn.forecasting.likelihoods import Likelihood
from dljax.run import optimizer, session
from dljax.run.experiment import Analysis, Experiment, Outcome
from dljax.run.workdirs import predictions_folder
from dljax.train import loop, metrics
from dljax.train.export import Serving
from dljax.train.loop import Run, Task
from dljax.train.parallel import place

NORMALIZE = {
    "none": forecaster.no_normalization,
    "last": forecaster.by_last_value,
    "window": forecaster.by_mean_and_deviation,
}


def network(config: Config, likelihood: Likelihood) -> nn.Module:
    """The Flax module that --model names."""
    settings: dict[str, Any] = {
        "horizon": config.horizon,
        "outputs": likelihood.outputs,
        "dtype": jnp.dtype(config.dtype),
    }
    if config.model == "linear":
        return forecasters.Linear(**settings, smooth=config.smooth)
    settings |= {"features": config.features, "dropout": config.dropout}
    if config.model == "segrnn":
        return forecasters.SegRNN(**settings, segment=config.segment)
    if config.model == "seq2seq":
        return forecasters.Seq2Seq(
            **settings,
            depth=config.depth,
            feedback=likelihood.feedback,
            teacher_forcing_steps=round(config.teacher_forcing * config.steps),
        )
    layer = getattr(layers, config.model.upper())
    return forecasters.Direct(**settings, depth=config.depth, layer=layer)


def make_forecaster(config: Config) -> Forecaster:
    """The network, the likelihood of its outputs, and the normalisation of windows."""
    if config.loss in POINT:
        likelihood = likelihoods.point(config.loss)
    else:
        likelihood = getattr(likelihoods, config.loss)(config.levels())
    return Forecaster(network(config, likelihood), likelihood, NORMALIZE[config.normalize])


def make_task(config: Config, model: Forecaster, shapes: Shapes) -> Task:
    """The Task of a Config."""
    return forecaster.task(model, optimizer.transformation(config), shapes, level=config.level)


def headline(config: Config) -> tuple[str, ...]:
    """The metrics of progress lines: first the one that chooses the best checkpoint."""
    return (*(("mse",) if config.scored() == "mse" else ("quantile_loss",)), "mae", "mase")


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    targets, panel = read(config, config.dataset)
    data, panel, notes = make_windows(config, panel, placement.batch_multiple)
    series = panel[0]
    model = make_forecaster(config)
    shapes = Shapes(
        config.window,
        config.horizon,
        len(series.columns),
        data.known.shape[1],
        data.future_known.shape[1],
    )
    levels = config.levels()
    directions = {"none": "changes", "returns": "returns"} if series.freq == "B" else {}
    inputs = report.ReportInputs(
        series,
        data,
        levels,
        config.level,
        config.calibrate,
        config.measure(),
        directions.get(config.transform, ""),
        panel if len(panel) > 1 else (),
    )

    @functools.cache
    def reference() -> dict[str, Forecasts]:
        return report.references(inputs)

    def analyze(run: Run, scored: dict[str, Any], baselines: dict[str, Any]) -> Analysis:
        del scored, baselines
        alone = network = assessment.of_network(model, run.states, data, levels)
        walk, more, lines, scores = None, {}, (), {}
        found = combination.of_network(alone, data, levels) if config.combine else None
        if found:
            weighed, blend, network = found
            task = make_task(config, model._replace(blend=blend), shapes)
            scores = _scores(task, run.states, data.test)
            lines, more = (weighed.line(),), {"combination": weighed._asdict()}
        elif config.combine:
            lines = ("Not combined: the validation part is too short to choose weights by.",)
        if config.refits:
            fit = backtest.network(
                model,
                make_task(config, model, shapes),
                functools.partial(one_window_set, config, placement.batch_multiple),
                series,
                data.scaler,
                steps=max(int(run.step), 1),
                seeds=session.seeds(config),
                placement=placement,
            )
            fits = {"network": fit} | report.baseline_fits(inputs)
            walk = backtest.with_refits(data, fits, config.refits)
            if found:
                combined = weighed(walk.predictions)
                walk = walk._replace(predictions={"combined": combined, **walk.predictions})
        findings, verdict, metadata, draw, mase = report.analyze(
            inputs, network, reference(), walk, alone if found else None
        )
        if found:
            metadata["combination"] = combination.to_json(blend)
        return Analysis(more | findings, lines + verdict, metadata, draw, scores | mase)

    return Experiment(
        name=config.name,
        dataset=f"{config.dataset}: {', '.join(series.columns)}"
        + (f", {len(panel)} series" if len(panel) > 1 else ""),
        task=lambda config: make_task(config, model, shapes),
        feed=data.train,
        placement=placement,
        headline=headline(config),
        data=record(targets, panel, data),
        validation=data.validation,
        choose_by=f"min:{config.scored()}",
        use_best=True,
        test=data.test,
        metadata={
            "targets": targets,
            "columns": series.columns,
            "covariates": series.covariate_names,
            "known": series.known_names,
            "zone": series.zone,
            "freq": series.freq,
            "shapes": shapes,
            **(
                {"series": data.labels, "series_columns": series.label_columns}
                if data.parts
                else {}
            ),
            **{name: scalers(data, name) for name in SCALERS},
        },
        notes=notes,
        baselines=lambda: report.table(inputs, reference()),
        analyze=analyze,
    )


def _scores(task: Task, states: Any, examples: Examples) -> dict[str, np.ndarray]:
    """The metrics of each seed [seeds]."""
    states = jax.device_get(states)
    keys = jax.random.split(jax.random.key(0), len(jax.tree.leaves(states)[0]))  # used by none
    run = Run(jnp.int32(0), keys, states)
    return metrics.scalars(loop.evaluate(task, run, examples, place("none")))


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build)


def _trained_forecaster(config: Config, metadata: dict[str, Any]) -> Forecaster:
    """The forecaster of a run, combined as the run chose."""
    model = make_forecaster(config)
    if "combination" not in metadata:
        return model
    if not config.combine:
        raise ValueError(
            f"the run in {config.workdir} was combined and calibrated so: start its command once "
            "more with --nocombine, which trains nothing again, then use it"
        )
    return model._replace(blend=combination.from_json(metadata["combination"]))


def serving(config: Config, series: Series | None = None) -> Serving:
    """The forecasting function of the run in config.workdir, for --predict and for export.

    By the best checkpoint, the mean over its seeds, with the calibrated interval of that run.
    series: the one to forecast, where the run has several, each with its own scale.
    """
    config, metadata = session.saved(config)
    metadata = {"covariates": config.covariates} | metadata
    if "series" in metadata:
        if series is None:
            raise ValueError(
                f"the run in {config.workdir} is on {len(metadata['series'])} series, each with "
                "its own scale: no one function forecasts them; use --predict"
            )
        metadata = of_series(metadata, series)
    model, shapes = _trained_forecaster(config, metadata), Shapes(*metadata["shapes"])
    run, step = session.restore(config, make_task(config, model, shapes), place("none"))
    metadata |= {"step": step, "unit": config.transform}
    return prediction.serving(model, run.states, metadata, config.level)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Forecasts beyond the end of a CSV (or an embedded set) with the run in config.workdir.

    Writes workdir/predictions/NAME.csv, the series followed by the forecast, and draws it; of
    several series, a file and picture NAME_LABEL for each. Returns a dict for each step: time; of
    each column its value, COLUMN_low, COLUMN_high; of several series also `series`.
    """
    folder = predictions_folder(config.workdir, path)
    config, metadata = session.saved(config)
    panel, found = read_as_trained(config, metadata, path), []
    for note in dict.fromkeys(note for series in panel for note in series.notes):
        print(note)
    for series in panel:
        name = Path(path).stem + (f"_{series.label}" if len(panel) > 1 else "")
        target = folder / (re.sub(r"[^\w.-]+", "_", name) + ".csv")
        rows = _predict_one(config, metadata, series, target)
        found += [{"series": series.label, **row} if len(panel) > 1 else row for row in rows]
    return found


def _predict_one(
    config: Config, metadata: dict[str, Any], series: Series, target: Path
) -> list[dict[str, Any]]:
    """`predict` of one series, into that CSV and a picture beside it."""
    if series.label not in metadata.get("series", [series.label]):
        print(f"Series {series.label} is not of the run: scaled by its own rows.")
    model = serving(config, series)
    predicted = prediction.predict(model, series)
    rows = prediction.rows(series, predicted)
    prediction.write(target, series, rows)
    for row in rows:
        words = [f"{key} {x:.5g}" if key != "time" else x for key, x in row.items()]
        print("  ".join([series.label, *words] if series.label else words))
    if config.combine and "radius" not in metadata:
        print("the run has not finished: this is the network alone")
    if predicted.low is None:
        print("no interval: the run has not finished, so its intervals are not calibrated")
    print(f"checkpoint of step {model.metadata['step']}; {target}")
    if config.plots:
        prediction.draw(target.with_suffix(".png"), series, predicted, config.level)
    return rows


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on all windows of another series, scaled as in training.

    See `session.evaluate`. Raises ValueError for other columns or a series that is too short, and
    for several series.
    """
    config, metadata = session.saved(config)
    panel = read_as_trained(config, metadata, dataset)
    if len(panel) > 1:
        raise ValueError(f"--evaluate takes one series; {dataset} has {len(panel)}")
    series = panel[0]
    if "series" in metadata:
        metadata = of_series(metadata, series)
    scaler, covariate_scaler = (
        Scaler(*(np.asarray(x, np.float64) for x in metadata[name])) for name in SCALERS
    )
    examples = all_windows(
        series, config.window, config.horizon, scaler, covariate_scaler, dated=config.calendar
    )
    model, shapes = _trained_forecaster(config, metadata), Shapes(*metadata["shapes"])
    print("Errors are in standard deviations of the training part.")
    return session.evaluate(
        config,
        make_task(config, model, shapes),
        examples,
        data=dataset,
        headline=headline(config),
    )


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    elif config.evaluate:
        evaluate(config, config.evaluate)
    else:
        train(config)
