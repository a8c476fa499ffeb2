"""Trained methods from hand to hand: written with all that samples need, described, uploaded, and sampled from."""
