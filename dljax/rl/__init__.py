"""Reinforcement learning: environments, returns, replay, and the algorithms, each one file."""
