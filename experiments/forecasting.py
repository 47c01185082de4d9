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

from dljax.apps.configs.forecasting import Config
from dljax.run.config import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import forecasting

    forecasting.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
