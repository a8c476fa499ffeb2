"""The images of a run: opened, decoded once, kept in the store."""
