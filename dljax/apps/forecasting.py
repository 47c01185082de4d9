"""Forecasts of time series, several steps ahead, with intervals."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from dljax.apps.configs.forecasting import Config
from dljax.data.sources import series
from dljax.data.sources.series import Series
from dljax.data.windows import ett_split, shares, windows
from dljax.nn import forecasters
from dljax.nn.recurrent import layers
from dljax.rnn.forecasting import assessment, backtest, forecaster, likelihoods, prediction, report
from dljax.rnn.forecasting.forecaster import Forecaster
from dljax.run import session, sweep
from dljax.run.session import Experiment, Outcome
from dljax.train.export import Serving
from dljax.train.parallel import place


def forecaster(config: Config) -> Forecaster:
    """The network that --model names, the meaning of its outputs, the normalisation of windows."""
    if config.loss in POINT:
        likelihood = likelihoods.point(config.loss)
    else:
        likelihood = getattr(likelihoods, config.loss)(config.levels())
    settings: dict[str, Any] = {
        "horizon": config.horizon,
        "outputs": likelihood.outputs,
        "dtype": jnp.dtype(config.dtype),
    }
    if config.model == "linear":
        model = forecasters.Linear(**settings, smooth=config.smooth)
    else:
        settings |= {"features": config.features, "dropout": config.dropout}
        if config.model == "segrnn":
            model = forecasters.SegRNN(**settings, segment=config.segment)
        elif config.model == "seq2seq":
            told = round(config.told * config.steps)
            model = forecasters.Seq2Seq(
                **settings,
                depth=config.depth,
                feedback=likelihood.feedback,
                teacher_forcing_steps=told,
            )
        else:
            layer = getattr(layers, config.model.upper())
            model = forecasters.Direct(**settings, depth=config.depth, layer=layer)
    normalize = {
        "none": forecaster.no_normalization,
        "last": forecaster.by_last_value,
        "window": forecaster.by_mean_and_deviation,
    }
    return forecaster.Forecaster(model, likelihood, normalize[config.normalize])


def read(config: Config, dataset: str) -> tuple[tuple[str, ...], Series]:
    """The columns of a data set that a Config asks for, and the series of them."""
    found = series.load_series(
        dataset,
        time=config.time,
        targets=config.target,
        covariates=config.covariates,
        freq=config.freq,
        fill=config.fill,
    )
    transforms = {"returns": series.returns, "volatility": series.volatility}
    transform = transforms.get(config.transform, lambda x: x)
    return found.columns, transform(found)


def make_task(config: Config, model: Forecaster, shapes: tuple[int, ...]) -> Any:
    """The Task of a Config; shapes: of forecasting.Shapes."""
    return forecaster.task(
        model,
        optimization.transformation(config),
        forecaster.Shapes(*shapes),
        level=config.level,
    )


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    placement = place(
        config.parallel,
        batch_size=config.batch_size,
        num_seeds=sweep.count(config),
        vectorize_seeds=config.vectorize_seeds,
    )
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
    model = forecaster(config)
    known = data.known.shape[1]
    shapes = (
        config.window,
        config.horizon,
        len(series.columns),
        known,
        known - len(series.covariate_names),
    )
    levels = config.levels()
    directions = {"none": "changes", "returns": "returns"} if series.freq == "B" else {}
    asked = report.ReportInputs(
        series,
        data,
        levels,
        config.level,
        config.calibrate,
        config.measure(),
        directions.get(config.transform, ""),
    )

    @functools.cache
    def reference() -> dict[str, assessment.Answers]:
        return assessment.reference(data, report.baseline_fits(asked), levels)

    def conclude(run: Any, metrics: Any, table: Any) -> session.Conclusion:
        del metrics, table
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
            walk = backtest.refitted(
                data, {"network": fit} | report.baseline_fits(asked), config.refits
            )
        answers = assessment.of_network(model, run.states, data, levels)
        return session.Conclusion(**report.conclude(asked, answers, reference(), walk)._asdict())

    return session.Experiment(
        name="forecasting",
        dataset=f"{config.dataset}: {', '.join(series.columns)}",
        task=lambda config: make_task(config, model, shapes),
        feed=data.train,
        placement=placement,
        validation=data.validation,
        test=data.test,
        score=lambda values: -float(np.nanmean(values[config.scored()])),
        facts={
            "targets": targets,
            "columns": series.columns,
            "freq": series.freq,
            "shapes": shapes,
            "scaler": [x.tolist() for x in data.scaler],
            "covariate_scaler": [x.tolist() for x in data.covariate_scaler],
        },
        notes=series.notes,
        baselines=lambda: report.table(asked, reference()),
        conclude=conclude,
        use_best=True,
    )


def train(config: Config) -> Outcome:
    """Trains in config.workdir, or continues there."""
    return session.train(config, build(config))


def serving(config: Config) -> Serving:
    """What the run in config.workdir says of a window: for --predict, and to export.

    By the best checkpoint, the mean over its seeds, with the interval's calibration of that run.
    """
    config, facts = session.saved(config)
    model = forecaster(config)
    run, step = session.restore(config, make_task(config, model, facts["shapes"]), place("none"))
    facts |= {"step": step, "unit": config.transform, "covariates": config.covariates}
    return prediction.serving(model, run.states, facts, config.level)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Goes on after the end of a CSV (or an embedded set) with the run in config.workdir.

    Writes workdir/predictions/NAME.csv, the series with the forecast after its end, and draws it.
    Returns a dict a step of the forecast: time; of each column its value, COLUMN_low, COLUMN_high.
    """
    model = serving(config)
    config, facts = session.saved(config)
    named = dataclasses.replace(config, target=tuple(facts["targets"]), freq=facts["freq"])
    _, series = read(named, path)
    said = prediction.look_ahead(model, series)
    rows = prediction.rows(series, said)
    target = Path(config.workdir) / "predictions" / f"{Path(path).stem}.csv"
    prediction.write(target, series, rows)
    for note in series.notes:
        print(note)
    for row in rows:
        print("  ".join(f"{name} {x:.5g}" if name != "time" else x for name, x in row.items()))
    if said.low is None:
        print("no interval: the run did not come to its end, so nothing calibrated it")
    print(f"checkpoint of step {model.facts['step']}; {target}")
    if config.plots:
        prediction.draw(target.with_suffix(".png"), series, said, config.level)
    return rows


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    else:
        train(config)
