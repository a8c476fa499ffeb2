"""The paper as data: its tables and figures, its scales, its published numbers."""
