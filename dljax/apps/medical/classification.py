"""A stand-in for the classification half."""
