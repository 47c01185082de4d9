"""The flags of forecasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dljax.run.config import DataConfig, field, override
from dljax.run.optimizer_flags import OptimizerConfig

MODELS = ("gru", "lstm", "rnn", "seq2seq", "segrnn", "linear")
POINT, DISTRIBUTIONS = ("mse", "mae", "huber"), ("quantiles", "gaussian", "student")
DECIMALS = ("auto", "point", "comma")
CALIBRATIONS = ("none", "conformal", "adaptive")


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimizerConfig):
    """The flags of forecasting; the defaults are tuned for the daily weather."""

    name: ClassVar[str] = "forecasting"
    not_served: ClassVar[tuple[str, ...]] = ("data_dir",)

    dataset = override("weather", help="weather, weather_hourly, stocks, or a CSV")
    steps = override(400)
    num_seeds = override(4)
    batch_size = override(64)
    learning_rate = override(2e-3)
    eval_every = override(50, help="steps between evaluations; the best step is used")

    time: str | None = field(None, "column of dates; none: detected")
    target: tuple[str, ...] = field((), "columns to forecast; none: all that are numeric")
    series: str | None = field(
        None, "column that names the series of each row; none: detected; 'none': there is one"
    )
    covariates: tuple[str, ...] = field((), "further columns, known up to the present")
    known: tuple[str, ...] = field(
        (), "further columns, known of the future too: --predict reads them beyond the end"
    )
    holidays: str = field(
        "", "country whose public holidays are known, such as US or DE-BY; none: not used"
    )
    freq: str | None = field(None, "time step: h, 15min, D, B, MS; none: the most common")
    fill: str = field(
        "refuse", "what to do about missing values", choices=("refuse", "forward", "linear")
    )
    decimal: str = field(
        "auto", "decimal sign of the numbers; auto: as the file tells", choices=DECIMALS
    )
    missing: tuple[str, ...] = field((), "words and numbers that mean missing, such as -999")
    transform: str = field(
        "none",
        "forecast a price itself, its log returns, or their volatility",
        choices=("none", "returns", "volatility"),
    )
    protocol: str = field(
        "shares", "split by shares, or ETT's 12, 4 and 4 months", choices=("shares", "ett")
    )
    validation: float = field(0.15, "share of the rows to choose by", minimum=0.01, maximum=0.8)
    test: float = field(0.2, "share of the rows, the last ones, to test on", minimum=0.01,
                             maximum=0.8)  # fmt: skip
    window: int = field(60, "steps to look back", minimum=1)
    horizon: int = field(7, "steps to forecast", minimum=1)
    calendar: bool = field(True, "use the time of year, week and day")
    normalize: str = field(
        "last",
        "each window: as it is, less its last value, or by its mean and deviation",
        choices=("none", "last", "window"),
    )

    model: str = field("segrnn", "network", choices=MODELS)
    features: int = field(32, "width of the recurrent layers", minimum=2)
    depth: int = field(1, "recurrent layers (gru, lstm, rnn, seq2seq)", minimum=1)
    segment: int = field(6, "steps in a segment (segrnn)", minimum=1)
    smooth: int = field(0, "steps of the moving average (linear); 0: none", minimum=0)
    teacher_forcing: float = field(
        0.5,
        "share of training over which teacher forcing is phased out (seq2seq)",
        minimum=0,
        maximum=1,
        formerly="told",
    )
    dropout: float = field(0.1, "dropout", minimum=0, maximum=0.95)
    loss: str = field(
        "quantiles", "loss of a point or probabilistic forecast", choices=POINT + DISTRIBUTIONS
    )
    quantiles: tuple[float, ...] = field(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "levels of the quantiles"
    )
    level: float = field(0.8, "nominal level of the interval", minimum=0.01, maximum=0.999)
    combine: bool = field(
        True,
        "combine the network with the last value, the mean and ridge regression by weights chosen "
        "on the validation part",
        resume=False,
    )
    calibrate: str = field(
        "adaptive",
        "intervals: as forecast, calibrated on the validation part, or also adapted over time",
        choices=CALIBRATIONS,
        resume=False,
        former_values={"tracked": "adaptive"},
    )
    refits: int = field(
        0,
        "times to retrain in the walk-forward backtest; 0: the trained model as it is",
        minimum=0,
        resume=False,
    )

    predict: str = field(
        "", "CSV or embedded set to forecast beyond its end", path=True, resume=False, group="use"
    )
    evaluate: str = field(
        "", "CSV or embedded set to score the trained model on", path=True, resume=False,
        group="use",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        levels = self.quantiles
        if list(levels) != sorted(set(levels)) or not all(0 < q < 1 for q in levels):
            raise ValueError(f"quantiles must increase between 0 and 1, not {levels}")
        if self.refits and self.sweep:
            raise ValueError("refits train with one value of each flag: leave them or sweep out")

    def subject(self) -> str:
        """The data set and, unless it is forecast as it is, its transform."""
        transform = "" if self.transform == "none" else f"-{self.transform}"
        return f"{super().subject()}{transform}"

    def levels(self) -> tuple[float, ...]:
        """The requested quantiles, the median and the ends of the interval."""
        ends = ((1 - self.level) / 2, 0.5, (1 + self.level) / 2)
        return tuple(sorted({round(q, 6) for q in (*self.quantiles, *ends)}))

    def scored(self) -> str:
        """The validation metric that chooses the best step."""
        return "quantile_loss" if self.loss in DISTRIBUTIONS else "mse"

    def measure(self) -> str:
        """The error measure by which network and baselines are compared."""
        return "mse" if self.loss in ("mse", "gaussian") else "mae"
