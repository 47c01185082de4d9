"""Networks that evaluate generated images and clips."""
