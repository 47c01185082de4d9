"""Recurrent layers: cells, the scan over time, layers and stacks of them."""
