"""The core of prism-bench: everything that can change a number. It knows no experiment."""
