"""Parts of image segmentation: what is trained, the scores of a run, predictions."""
