"""Face recognition: embeddings trained with margin losses, and protocols that score them."""
