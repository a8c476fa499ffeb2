"""Systems to compare PRISM with."""
