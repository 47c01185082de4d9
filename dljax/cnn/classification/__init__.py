"""Image classification: the task, baselines, inspection of a trained network."""
