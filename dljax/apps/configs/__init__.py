"""The flags of each application; nothing here imports jax."""
