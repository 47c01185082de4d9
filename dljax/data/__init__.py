"""Data: sources (what is read), feeds (how it reaches the step), augmentation (on the device)."""
