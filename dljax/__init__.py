"""A functional deep-learning research codebase on JAX and Flax."""

__version__ = "0.1.0"  # pyproject.toml reads it from here
