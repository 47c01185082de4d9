"""Face recognition: splits, the network, scores, the gallery and its uses."""
