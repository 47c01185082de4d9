"""The parts of autonomous driving's application."""
