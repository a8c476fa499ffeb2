"""Records joined with the rows of their plan."""
