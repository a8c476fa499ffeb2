"""A table as text: terminal, CSV, LaTeX, Markdown, HTML."""
