"""Intervals, paired differences, verdicts."""
