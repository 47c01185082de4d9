"""Object detection: the task, assignment, losses, suppression of duplicates, exact scores."""
