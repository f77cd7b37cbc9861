"""The narrow waist: images or texts to (N, E) float32 unit rows, by torch in bulk or by numpy for a handful."""
