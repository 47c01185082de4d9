"""The flags of forecasting."""

from __future__ import annotations

from dataclasses import dataclass

from dljax.run.config import field

MODELS = ("gru", "lstm", "rnn", "seq2seq", "segrnn", "linear")


POINT, DISTRIBUTIONS = ("mse", "mae", "huber"), ("quantiles", "gaussian", "student")


@dataclass(frozen=True, kw_only=True)
class Config(OptimizerConfig):
    """The flags of forecasting; the defaults are tuned for the daily weather."""

    workdir: str = field("runs/forecasting", "folder of the run", path=True, resume=False)
    dataset: str = field("weather", "weather, weather_hourly, stocks, or a CSV", path=True)
    steps: int = field(400, "training steps", minimum=1)
    batch_size: int = field(64, "windows in a step", minimum=1)
    num_seeds: int = field(4, "seeds trained in one program", minimum=1)
    learning_rate: float = field(2e-3, "highest learning rate of the schedule", minimum=0)
    eval_every: int = field(
        50, "steps between evaluations; the best step is used", minimum=0, resume=False
    )

    time: str | None = field(None, "column of dates; none: the one that looks like it")
    target: tuple[str, ...] = field((), "columns to forecast; none: all that are numeric")
    covariates: tuple[str, ...] = field((), "further columns, known up to the present")
    freq: str | None = field(None, "step of time: h, 15min, D, B, MS; none: the commonest")
    fill: str = field(
        "refuse", "what to do about missing values", choices=("refuse", "forward", "linear")
    )
    transform: str = field(
        "none",
        "what of a price is forecast: itself, its log-returns, or their volatility",
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
    told: float = field(
        0.5, "share of training in which the decoder is told the truth (seq2seq)", minimum=0,
        maximum=1,
    )  # fmt: skip
    dropout: float = field(0.1, "dropout", minimum=0, maximum=0.95)
    loss: str = field(
        "quantiles", "what is trained: one value or a distribution", choices=POINT + DISTRIBUTIONS
    )
    quantiles: tuple[float, ...] = field(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "levels of the quantiles"
    )
    level: float = field(0.8, "nominal level of the interval", minimum=0.01, maximum=0.999)
    calibrate: str = field(
        "tracked",
        "the interval: as forecast, corrected on the validation part, or ever since too",
        choices=("none", "conformal", "tracked"),
        resume=False,
    )
    refits: int = field(
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
