"""Parts of speech recognition: data, networks, scores, predictions."""
