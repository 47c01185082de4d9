"""Online anomaly detection in time series: detectors, thresholds, metrics."""
