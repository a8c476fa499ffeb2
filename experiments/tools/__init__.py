"""Daily work beside the tables: train, sample, evaluate, compare, and looking at what is there."""
