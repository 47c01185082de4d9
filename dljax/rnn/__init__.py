"""Recurrent networks: probes, forecasting, anomaly detection."""
