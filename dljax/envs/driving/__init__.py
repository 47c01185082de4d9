"""A car on a road: tracks, vehicle dynamics, a camera, teachers; pure JAX, in SI units."""
