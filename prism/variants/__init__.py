"""Scales and variants: how big an experiment is, and which methods its rows are."""
