"""Parts of the comparison of generated images as training data."""
