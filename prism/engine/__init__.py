"""Stages by content, kept in a store and performed by workers: what they compute is not known here."""
