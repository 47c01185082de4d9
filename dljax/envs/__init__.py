"""Environments: the interface, those of gymnax, and wrappers."""
