"""Environments: the interface, gymnax behind it, wrappers."""
