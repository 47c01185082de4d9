"""Parts that the applications of reinforcement learning share."""
