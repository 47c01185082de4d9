"""Pretrained weights from the files that people have, and their adaptation with little data."""
