"""The data of a forecasting run: its series, their windows and scalers, as the flags say."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dljax.apps.configs.forecasting import Config
from dljax.data.holidays import with_holidays
from dljax.data.panel import join
from dljax.data.record import DataRecord
from dljax.data.record_kinds import panel_record, series_record
from dljax.data.sources import zones
from dljax.data.sources.series import Series, load_panel, returns, volatility
from dljax.data.windows import (
    Scaler,
    Split,
    Windows,
    ett_split,
    fit_scaler,
    shares,
    windows,
)

SCALERS = ("scaler", "covariate_scaler")


def read(
    config: Config, dataset: str, zone: str | None = None
) -> tuple[tuple[str, ...], tuple[Series, ...]]:
    """The names of the target columns of a data set, and its series, transformed.

    zone: of a run that the series are for.
    """
    found = load_panel(
        dataset,
        time=config.time,
        targets=config.target,
        covariates=config.covariates,
        known=config.known,
        freq=config.freq,
        fill=config.fill,
        series=config.series,
        decimal=config.decimal,
        absent=config.missing,
        zone=zone,
    )
    transforms = {"returns": returns, "volatility": volatility}
    transform = transforms.get(config.transform, lambda x: x)
    if config.holidays:
        found = [with_holidays(series, config.holidays, config.horizon) for series in found]
    return found[0].columns, tuple(map(transform, found))


def record(targets: tuple[str, ...], panel: Sequence[Series], data: Windows) -> DataRecord:
    """What was read and derived: the columns, the splits' sizes and the scalers."""
    first = panel[0]
    columns = (*first.columns, *first.covariate_names)
    values = [np.concatenate([s.values, s.covariates], -1) for s in panel]
    if len(panel) == 1:
        found = series_record(first.time, values[0], columns, first.freq, zone=first.zone)
        scalers = {name: getattr(data, name)._asdict() for name in SCALERS}
    else:
        times = {s.label: s.time for s in panel}
        found = panel_record(times, values, columns, first.freq, zone=first.zone)
        scalers = {name: [getattr(x, name)._asdict() for x in data.parts] for name in SCALERS}
    return found.deriving(targets=targets, **scalers)


def one_window_set(config: Config, multiple: int, series: Series, split: Split) -> Windows:
    """The windows of one series."""
    return windows(
        series,
        window=config.window,
        horizon=config.horizon,
        batch_size=config.batch_size,
        split=split,
        multiple=multiple,
        dated=config.calendar,
    )


def make_windows(
    config: Config, panel: tuple[Series, ...], multiple: int
) -> tuple[Windows, tuple[Series, ...], tuple[str, ...]]:
    """The windows of all series, the series that are long enough, and the lines about them."""
    if config.protocol == "ett":
        split = ett_split
    else:
        split = functools.partial(_shares, config)
    notes = tuple(dict.fromkeys(note for series in panel for note in series.notes))
    if len(panel) == 1:
        return one_window_set(config, multiple, panel[0], split(panel[0])), panel, notes
    if config.refits:
        raise ValueError(f"refits retrain on one series; {config.dataset} has {len(panel)}")
    alone = dataclasses.replace(config, batch_size=1)
    kept, parts, short = [], [], {}
    for series in panel:
        try:
            parts.append(one_window_set(alone, 1, series, split(series)))
            kept.append(series)
        except ValueError as error:
            short[series.label] = error
    if not kept:
        raise next(iter(short.values()))
    if short:
        first = next(iter(short.values()))
        listed = ", ".join(list(short)[:5]) + (", ..." if len(short) > 5 else "")
        notes += (f"Left out, too short: {len(short)} of {len(panel)} series, {listed} ({first}).",)
    labels = [series.label for series in kept]
    if len(kept) == 1:
        return one_window_set(config, multiple, kept[0], split(kept[0])), tuple(kept), notes
    return join(parts, labels, config.batch_size, multiple), tuple(kept), notes


def _shares(config: Config, series: Series) -> Split:
    return shares(len(series.time), config.validation, config.test)


def scalers(data: Windows, name: str) -> Scaler | list[Scaler]:
    """The scaler of that name; of several series, a list."""
    return [getattr(part, name) for part in data.parts] if data.parts else getattr(data, name)


def of_series(metadata: dict[str, Any], series: Series) -> dict[str, Any]:
    """The metadata of a run on several series, for one of them.

    Another one is scaled by its own rows and has no calibrated interval.
    """
    found = dict(metadata)
    if series.label in metadata["series"]:
        i = metadata["series"].index(series.label)
        for name in (*SCALERS, "radius", "offsets"):
            if metadata.get(name) is not None:
                found[name] = metadata[name][i]
        return found
    own = {"scaler": series.values, "covariate_scaler": series.covariates}
    return found | {n: fit_scaler(x) for n, x in own.items()} | {"radius": None, "offsets": None}


def read_as_trained(config: Config, metadata: dict[str, Any], dataset: str) -> tuple[Series, ...]:
    """A data set with the columns, the time step and the zone of the run.

    Raises ValueError where it has others, or several series where the run has one.
    """
    others = metadata.get("covariates", config.covariates)
    named = dataclasses.replace(
        config,
        target=tuple(metadata["targets"]),
        covariates=tuple(name for name in others if name not in metadata.get("known", ())),
        freq=metadata["freq"],
        series=",".join(metadata.get("series_columns", ())) or config.series,
    )
    zone = metadata.get("zone")  # older runs have none
    _, panel = read(named, dataset, zones.NONE if zone == "" else zone)
    if len(panel) > 1 and "series" not in metadata:
        raise ValueError(
            f"{dataset} has {len(panel)} series ({panel[0].label}, ...), the run in "
            f"{config.workdir} has one"
        )
    return panel
