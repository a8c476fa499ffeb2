"""prism-bench: ablations and benchmarks for PRISM, patch diffusion with retrieved neighbours as its global view."""

from pathlib import Path

__version__ = "0.5.0.dev0"

# In a checkout the four folders stand beside this one; installed, they lie inside it.
_beside = Path(__file__).resolve().parent.parent
if not (Path(__file__).parent / "prism").is_dir() and (_beside / "prism" / "component.py").is_file():
    __path__.append(str(_beside))
