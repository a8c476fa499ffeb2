"""What a row of a table trains and how it is sampled."""
