"""The stages: dataset, split, embeddings, neighbours, training, samples, features, metric. Equal stages run once."""
