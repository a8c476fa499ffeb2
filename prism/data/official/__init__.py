"""The paper's datasets, read from their official files."""
