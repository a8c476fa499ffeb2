"""The encoder family: images to vectors, for retrieval and for evaluation alike."""
