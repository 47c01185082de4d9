"""Medical images and volumes: scores with a clinical meaning, networks in three dimensions."""
