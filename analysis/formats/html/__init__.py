"""One page of everything."""
