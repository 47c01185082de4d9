"""The series that come with Python packages: Seattle's weather and four stocks."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import re
from pathlib import Path

import numpy as np

from dljax.data.sources.table import Table, parse_table

STOCKS = ("AAPL", "GOOG", "IBM", "MSFT")


def _content(package: str, file: str) -> bytes:
    """A file of a package's _data folder, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise FileNotFoundError(f"This data set comes with {package}: pip install {package}.")
    return (Path(spec.submodule_search_locations[0]) / "_data" / file).read_bytes()


def stocks() -> tuple[Table, tuple[str, ...]]:
    """Daily closing prices, adjusted for splits and dividends, over the span common to all four.

    Package bokeh_sampledata; origin Quandl WIKI Prices (public domain). The package notes that the
    adjustment includes corporate actions after the span, a constant factor that cancels in returns.
    """
    text = gzip.decompress(_content("bokeh_sampledata", "stocks.csv.gz")).decode()
    prices: dict[str, dict[str, str]] = {name: {} for name in STOCKS}
    for row in csv.DictReader(io.StringIO(text)):
        if row["Ticker"] in prices:
            prices[row["Ticker"]][row["Date"]] = row["Adj Close"]
    days = sorted(set.intersection(*(set(column) for column in prices.values())))
    cells = {name: np.array([column[day] for day in days]) for name, column in prices.items()}
    table = Table("stocks", {"Date": np.array(days), **cells}, np.arange(len(days)) + 2)
    return table, STOCKS


def weather() -> tuple[Table, tuple[str, ...]]:
    """Seattle, daily, 2012-2015: precipitation (mm), temp_max and temp_min (deg C), wind (m/s).

    Package vega_datasets; origin NOAA.
    """
    table = parse_table(_content("vega_datasets", "seattle-weather.csv"), "weather")
    return table, ("temp_max",)


def weather_hourly() -> tuple[Table, tuple[str, ...]]:
    """Seattle, hourly temperature (deg F) of 2010: NOAA's climate normals, so smooth.

    Package vega_datasets. The hour missing where summer time begins is filled with the one before.
    """
    text = _content("vega_datasets", "seattle-temps.csv").decode()
    text = re.sub(
        r"(2010/03/14 02:00,(.*)\n)(2010/03/14 04)", r"\g<1>2010/03/14 03:00,\2\n\3", text
    )
    table = parse_table(text.encode(), "weather_hourly")
    notes = (
        "These are normals (means of many years), not a measured year.",
        "2010-03-14 03:00 was missing: it has the value of 02:00.",
    )
    return table._replace(notes=notes), ("temp",)


TABLES = {"stocks": stocks, "weather": weather, "weather_hourly": weather_hourly}
