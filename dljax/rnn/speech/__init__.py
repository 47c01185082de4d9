"""Speech recognition: words by a classifier, strings by CTC."""
