"""Forecasting of time series: networks, likelihoods, baselines, intervals, evaluation."""
