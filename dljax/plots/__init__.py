"""Every picture that a run leaves behind, as a PNG.

Functions (arrays..., path) -> None that draw on figures of their own: no pyplot, no state, no
display. A folder that does not exist is made.

A module of this package, and matplotlib with it, is imported when it is first named (as in
`plots.masks.overlay`), so that training need not wait half a second for it. Those of SHORT have a
short name: `plots.filters` is `plots.images.filters`.
"""

import importlib
import pkgutil
from typing import Any

SHORT = {
    "anomaly": ("detections",),
    "images": (
        "confusion_matrix",
        "feature_maps",
        "filters",
        "image_grid",
        "precision_recall",
        "predicted_and_actual",
        "predicted_number",
        "prediction",
        "reliability",
    ),
    "series": (
        "ForecastPanel",
        "backtest",
        "coverage",
        "error_by_step",
        "forecasts",
        "residuals",
    ),
    "training": ("learning_curves", "sweep"),
}
_HOMES = {name: module for module, names in SHORT.items() for name in names}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """A module of this package, or what SHORT names of one."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in __dir__():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"{__name__} has no {name!r}")


def __dir__() -> list[str]:
    return sorted({*_HOMES, *(module.name for module in pkgutil.iter_modules(__path__))})
