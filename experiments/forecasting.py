r"""Forecasts of time series, several steps ahead, with intervals.

    python -m experiments.forecasting                               # Seattle's temperature, 4 seeds
    python -m experiments.forecasting --dataset=stocks --transform=returns --horizon=5
    python -m experiments.forecasting --dataset=FILE.csv --target=A,B --horizon=24
    python -m experiments.forecasting --dataset=ETTh1.csv --protocol=ett --model=segrnn \
        --window=720 --horizon=96 --segment=48 --features=256 --loss=mae --nocalendar \
        --batch_size=128 --learning_rate=1e-3 --dropout=0.5 --weight_decay=0 --warmup=0 --ema=0.99
    python -m experiments.forecasting --predict=FILE.csv            # goes on after the file's end

--dataset takes 'weather' (Seattle, daily), 'weather_hourly', 'stocks' (AAPL, GOOG, IBM, MSFT) or a
CSV with a header and a column of dates. Time is split into training, validation and test, in this
order; scaling knows the training part alone, the best step is chosen on the validation part, and
every window of the test part is scored. Results of each command: README.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import base, optimization, sweep

if TYPE_CHECKING:
    from dljax.data.sources.series import Series
    from dljax.rnn.forecasting import Forecaster
    from dljax.train.export import Serving
    from experiments.session import Experiment, Outcome

MODELS = ("gru", "lstm", "rnn", "seq2seq", "segrnn", "linear")
POINT, DISTRIBUTIONS = ("mse", "mae", "huber"), ("quantiles", "gaussian", "student")


@dataclass(frozen=True, kw_only=True)
class Config(optimization.Config):
    """The flags of forecasting; the defaults are tuned for the daily weather."""

    workdir: str = base.field("runs/forecasting", "folder of the run", path=True, resume=False)
    dataset: str = base.field("weather", "weather, weather_hourly, stocks, or a CSV", path=True)
    steps: int = base.field(400, "training steps", minimum=1)
    batch_size: int = base.field(64, "windows in a step", minimum=1)
    num_seeds: int = base.field(4, "seeds trained in one program", minimum=1)
    learning_rate: float = base.field(2e-3, "highest learning rate of the schedule", minimum=0)
    eval_every: int = base.field(
        50, "steps between evaluations; the best step is used", minimum=0, resume=False
    )

    time: str | None = base.field(None, "column of dates; none: the one that looks like it")
    target: tuple[str, ...] = base.field((), "columns to forecast; none: all that are numeric")
    covariates: tuple[str, ...] = base.field((), "further columns, known up to the present")
    freq: str | None = base.field(None, "step of time: h, 15min, D, B, MS; none: the commonest")
    fill: str = base.field(
        "refuse", "what to do about missing values", choices=("refuse", "forward", "linear")
    )
    transform: str = base.field(
        "none",
        "what of a price is forecast: itself, its log-returns, or their volatility",
        choices=("none", "returns", "volatility"),
    )
    protocol: str = base.field(
        "shares", "split by shares, or ETT's 12, 4 and 4 months", choices=("shares", "ett")
    )
    validation: float = base.field(
        0.15, "share of the rows to choose by", minimum=0.01, maximum=0.8
    )
    test: float = base.field(0.2, "share of the rows, the last ones, to test on", minimum=0.01,
                             maximum=0.8)  # fmt: skip
    window: int = base.field(60, "steps to look back", minimum=1)
    horizon: int = base.field(7, "steps to forecast", minimum=1)
    calendar: bool = base.field(True, "use the time of year, week and day")
    normalize: str = base.field(
        "last",
        "each window: as it is, less its last value, or by its mean and deviation",
        choices=("none", "last", "window"),
    )

    model: str = base.field("segrnn", "network", choices=MODELS)
    features: int = base.field(32, "width of the recurrent layers", minimum=2)
    depth: int = base.field(1, "recurrent layers (gru, lstm, rnn, seq2seq)", minimum=1)
    segment: int = base.field(6, "steps in a segment (segrnn)", minimum=1)
    smooth: int = base.field(0, "steps of the moving average (linear); 0: none", minimum=0)
    told: float = base.field(
        0.5, "share of training in which the decoder is told the truth (seq2seq)", minimum=0,
        maximum=1,
    )  # fmt: skip
    dropout: float = base.field(0.1, "dropout", minimum=0, maximum=0.95)
    loss: str = base.field(
        "quantiles", "what is trained: one value or a distribution", choices=POINT + DISTRIBUTIONS
    )
    quantiles: tuple[float, ...] = base.field(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "levels of the quantiles"
    )
    level: float = base.field(0.8, "nominal level of the interval", minimum=0.01, maximum=0.999)
    calibrate: str = base.field(
        "tracked",
        "the interval: as forecast, corrected on the validation part, or ever since too",
        choices=("none", "conformal", "tracked"),
        resume=False,
    )
    refits: int = base.field(
        0, "trainings in the walk-forward backtest; 0: none, the run's own", minimum=0, resume=False
    )

    def __post_init__(self):
        super().__post_init__()
        levels = self.quantiles
        if list(levels) != sorted(set(levels)) or not all(0 < q < 1 for q in levels):
            raise ValueError(f"quantiles must rise between 0 and 1, not {levels}")
        if self.refits and self.sweep:
            raise ValueError("refits train with one value of each flag: leave them or sweep out")

    def levels(self) -> tuple[float, ...]:
        """The quantiles asked for, the middle one and the ends of the interval."""
        ends = ((1 - self.level) / 2, 0.5, (1 + self.level) / 2)
        return tuple(sorted({round(q, 6) for q in (*self.quantiles, *ends)}))

    def scored(self) -> str:
        """The metric of the validation part by which the best step is chosen."""
        return "quantile_loss" if self.loss in DISTRIBUTIONS else "mse"

    def measure(self) -> str:
        """The error by which network and baselines are compared."""
        return "mse" if self.loss in ("mse", "gaussian") else "mae"


def forecaster(config: Config) -> Forecaster:
    """The network that --model names, the meaning of its outputs, the normalisation of windows."""
    import jax.numpy as jnp

    from dljax.nn import forecasters, recurrent
    from dljax.rnn import forecasting, likelihoods

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
                **settings, depth=config.depth, feedback=likelihood.feedback, told_steps=told
            )
        else:
            layer = getattr(recurrent, config.model.upper())
            model = forecasters.Direct(**settings, depth=config.depth, layer=layer)
    normalize = {
        "none": forecasting.no_normalization,
        "last": forecasting.by_last_value,
        "window": forecasting.by_mean_and_deviation,
    }
    return forecasting.Forecaster(model, likelihood, normalize[config.normalize])


def read(config: Config, dataset: str) -> tuple[tuple[str, ...], Series]:
    """The columns of a data set that a Config asks for, and the series of them."""
    from dljax.data.sources import series

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
    from dljax.rnn import forecasting

    return forecasting.task(
        model,
        optimization.transformation(config),
        forecasting.Shapes(*shapes),
        level=config.level,
    )


def build(config: Config) -> Experiment:
    """The data, the network and the Task of a Config, ready for `session.train`.

    Raises FileNotFoundError or ValueError, in one line, for data that can't be used.
    """
    import numpy as np

    from dljax.data.windows import ett_split, shares, windows
    from dljax.rnn import assessment, report, walking
    from dljax.train.parallel import place
    from experiments import session

    placement = place(
        config.parallel,
        batch_size=config.batch_size,
        num_seeds=sweep.count(config),
        seeds_by=config.seeds_by,
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
    asked = report.Asked(
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
            fit = walking.network(
                model,
                make_task(config, model, shapes),
                lambda series, split: make(series, split=split),
                series,
                data.scaler,
                steps=max(int(run.step), 1),
                seeds=session.seeds(config),
                placement=placement,
            )
            walk = walking.refitted(
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
    from experiments import session

    return session.train(config, build(config))


def serving(config: Config) -> Serving:
    """What the run in config.workdir says of a window: for --predict, and to export.

    By the best checkpoint, the mean over its seeds, with the interval's calibration of that run.
    """
    from dljax.rnn import outlook
    from dljax.train.parallel import place
    from experiments import session

    config, facts = session.saved(config)
    model = forecaster(config)
    run, step = session.restore(config, make_task(config, model, facts["shapes"]), place("none"))
    facts |= {"step": step, "unit": config.transform, "covariates": config.covariates}
    return outlook.serving(model, run.states, facts, config.level)


def predict(config: Config, path: str) -> list[dict[str, Any]]:
    """Goes on after the end of a CSV (or an embedded set) with the run in config.workdir.

    Writes workdir/predictions/NAME.csv, the series with the forecast after its end, and draws it.
    Returns a dict a step of the forecast: time; of each column its value, COLUMN_low, COLUMN_high.
    """
    from dljax.rnn import outlook
    from experiments import session

    model = serving(config)
    config, facts = session.saved(config)
    named = dataclasses.replace(config, target=tuple(facts["targets"]), freq=facts["freq"])
    _, series = read(named, path)
    said = outlook.look_ahead(model, series)
    rows = outlook.rows(series, said)
    target = Path(config.workdir) / "predictions" / f"{Path(path).stem}.csv"
    outlook.write(target, series, rows)
    for note in series.notes:
        print(note)
    for row in rows:
        print("  ".join(f"{name} {x:.5g}" if name != "time" else x for name, x in row.items()))
    if said.low is None:
        print("no interval: the run did not come to its end, so nothing calibrated it")
    print(f"checkpoint of step {model.facts['step']}; {target}")
    if config.plots:
        outlook.draw(target.with_suffix(".png"), series, said, config.level)
    return rows


def run(config: Config) -> None:
    """What the command line does."""
    if config.predict:
        predict(config, config.predict)
    else:
        train(config)


if __name__ == "__main__":
    base.main(run, Config, __doc__)
