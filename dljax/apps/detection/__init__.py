"""Parts of object detection: the scores of a run, predictions, pictures."""
