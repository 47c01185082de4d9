"""Multi-step forecasts of time series with prediction intervals."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from dljax.apps.configs.forecasting import POINT, Config
from dljax.data.record import DataRecord, series_record
from dljax.data.sources import series, zones
from dljax.data.sources.series import Series
from dljax.data.windows import Scaler, Windows, all_windows, ett_split, shares, windows
from dljax.nn import forecasters
from dljax.nn.recurrent import layers
from dljax.rnn.forecasting import assessment, backtest, forecaster, likelihoods, prediction, report
from dljax.rnn.forecasting.assessment import Forecasts
from dljax.rnn.forecasting.forecaster import Forecaster, Shapes
from dljax.rnn.forecasting.likelihoods import Likelihood
from dljax.run import optimizer, session
from dljax.run.experiment import Analysis, Experiment, Outcome
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


def read(config: Config, dataset: str, zone: str | None = None) -> tuple[tuple[str, ...], Series]:
    """The names of the target columns of a data set, and their series, transformed.

    zone: of a run that the series is for.
    """
    found = series.load_series(
        dataset,
        time=config.time,
        targets=config.target,
        covariates=config.covariates,
        freq=config.freq,
        fill=config.fill,
        series=config.series,
        decimal=config.decimal,
        absent=config.missing,
        zone=zone,
    )
    transforms = {"returns": series.returns, "volatility": series.volatility}
    transform = transforms.get(config.transform, lambda x: x)
    return found.columns, transform(found)


def record(targets: tuple[str, ...], series: Series, data: Windows) -> DataRecord:
    """What was read and derived: the columns, the splits' sizes and the scalers."""
    columns = (*series.columns, *series.covariate_names)
    values = np.concatenate([series.values, series.covariates], -1)
    return series_record(series.time, values, columns, series.freq, zone=series.zone).deriving(
        targets=targets,
        scaler=data.scaler._asdict(),
        covariate_scaler=data.covariate_scaler._asdict(),
    )


def headline(config: Config) -> tuple[str, ...]:
    """The metrics of progress lines: first the one that chooses the best checkpoint."""
    return ("mse", "mae") if config.scored() == "mse" else ("quantile_loss", "mae", "coverage")


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = session.placement(config)
    targets, series = read(config, config.dataset)
    split = (
        ett_split(series)
        if config.protocol == "ett"
        else shares(len(series.time), config.validation, config.test)
    )
    make = functools.partial(
        windows,
        window=config.window,
        horizon=config.horizon,
        batch_size=config.batch_size,
        multiple=placement.batch_multiple,
        dated=config.calendar,
    )
    data = make(series, split=split)
    model = make_forecaster(config)
    known = data.known.shape[1]
    shapes = Shapes(
        config.window,
        config.horizon,
        len(series.columns),
        known,
        known - len(series.covariate_names),
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
    )

    @functools.cache
    def reference() -> dict[str, Forecasts]:
        return assessment.of_baselines(data, report.baseline_fits(inputs), levels)

    def analyze(run: Run, metrics: dict[str, Any], baselines: dict[str, Any]) -> Analysis:
        del metrics, baselines
        walk = None
        if config.refits:
            fit = backtest.network(
                model,
                make_task(config, model, shapes),
                lambda series, split: make(series, split=split),
                series,
                data.scaler,
                steps=max(int(run.step), 1),
                seeds=session.seeds(config),
                placement=placement,
            )
            fits = {"network": fit} | report.baseline_fits(inputs)
            walk = backtest.with_refits(data, fits, config.refits)
        forecasts = assessment.of_network(model, run.states, data, levels)
        return Analysis(*report.analyze(inputs, forecasts, reference(), walk))

    return Experiment(
        name=config.name,
        dataset=f"{config.dataset}: {', '.join(series.columns)}",
        task=lambda config: make_task(config, model, shapes),
        feed=data.train,
        placement=placement,
        headline=headline(config),
        data=record(targets, series, data),
        validation=data.validation,
        choose_by=f"min:{config.scored()}",
        use_best=True,
        test=data.test,
        metadata={
            "targets": targets,
            "columns": series.columns,
            "covariates": series.covariate_names,
            "zone": series.zone,
            "freq": series.freq,
            "shapes": shapes,
            "scaler": data.scaler,
            "covariate_scaler": data.covariate_scaler,
        },
        notes=series.notes,
        baselines=lambda: report.table(inputs, reference()),
        analyze=analyze,
    )


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build(config))


def serving(config: Config) -> Serving:
    """The forecasting function of the run in config.workdir, for --predict and for export.

    By the best checkpoint, the mean over its seeds, with the calibrated interval of that run.
    """
    config, metadata = session.saved(config)
    model, shapes = make_forecaster(config), Shapes(*metadata["shapes"])
    run, step = session.restore(config, make_task(config, model, shapes), place("none"))
    metadata = {"covariates": config.covariates} | metadata
    metadata |= {"step": step, "unit": config.transform}
    return prediction.serving(model, run.states, metadata, config.level)


def read_as_trained(config: Config, metadata: dict[str, Any], dataset: str) -> Series:
    """A data set with the columns, the time step and the zone of the run.

    Raises ValueError where it has others.
    """
    named = dataclasses.replace(
        config,
        target=tuple(metadata["targets"]),
        covariates=tuple(metadata.get("covariates", config.covariates)),
        freq=metadata["freq"],
    )
    zone = metadata.get("zone")  # older runs have none
    _, series = read(named, dataset, zones.NONE if zone == "" else zone)
    return series


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Forecasts beyond the end of a CSV (or an embedded set) with the run in config.workdir.

    Writes workdir/predictions/NAME.csv, the series followed by the forecast, and draws it. Returns
    a dict for each step: time; of each column its value, COLUMN_low, COLUMN_high.
    """
    model = serving(config)
    config, metadata = session.saved(config)
    series = read_as_trained(config, metadata, path)
    predicted = prediction.predict(model, series)
    rows = prediction.rows(series, predicted)
    target = Path(config.workdir) / "predictions" / f"{Path(path).stem}.csv"
    prediction.write(target, series, rows)
    for note in series.notes:
        print(note)
    for row in rows:
        print("  ".join(f"{name} {x:.5g}" if name != "time" else x for name, x in row.items()))
    if predicted.low is None:
        print("no interval: the run has not finished, so its intervals are not calibrated")
    print(f"checkpoint of step {model.metadata['step']}; {target}")
    if config.plots:
        prediction.draw(target.with_suffix(".png"), series, predicted, config.level)
    return rows


def evaluate(config: Config, dataset: str) -> dict[str, Any]:
    """Scores the run in config.workdir on all windows of another series, scaled as in training.

    See `session.evaluate`. Raises ValueError for other columns or a series that is too short.
    """
    config, metadata = session.saved(config)
    series = read_as_trained(config, metadata, dataset)
    scalers = (
        Scaler(*(np.asarray(x, np.float64) for x in metadata[name]))
        for name in ("scaler", "covariate_scaler")
    )
    examples = all_windows(series, config.window, config.horizon, *scalers, dated=config.calendar)
    model, shapes = make_forecaster(config), Shapes(*metadata["shapes"])
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
