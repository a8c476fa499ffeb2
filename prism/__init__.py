"""The core of prism-bench: everything that can change a number. It knows no experiment."""

__version__ = "0.4.0"
