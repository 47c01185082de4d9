"""Semantic segmentation: the task, losses, metrics, baselines, windows over large images."""
