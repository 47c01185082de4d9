"""Autonomous driving: from pictures to steering, scored in closed loop."""
