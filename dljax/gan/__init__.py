"""Generative adversarial networks: images, video, augmentation, scores."""
