"""Every picture that a run leaves behind, as a PNG.

Functions (arrays..., path) -> None that draw on figures of their own: no pyplot, no state, no
display. A folder that does not exist is made.
"""

from dljax.plots.anomaly import detections
from dljax.plots.images import (
    confusion_matrix,
    feature_maps,
    filters,
    image_grid,
    precision_recall,
    predicted_and_actual,
    predicted_number,
    prediction,
    reliability,
)
from dljax.plots.series import (
    ForecastPanel,
    backtest,
    coverage,
    error_by_step,
    forecasts,
    residuals,
)
from dljax.plots.training import learning_curves, sweep

__all__ = [
    "ForecastPanel",
    "backtest",
    "confusion_matrix",
    "coverage",
    "detections",
    "error_by_step",
    "feature_maps",
    "filters",
    "forecasts",
    "image_grid",
    "learning_curves",
    "precision_recall",
    "predicted_and_actual",
    "predicted_number",
    "prediction",
    "reliability",
    "residuals",
    "sweep",
]
