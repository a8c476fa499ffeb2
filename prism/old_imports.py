"""What to say of a plug-in file that imports our folders by the names they had before version 0.5."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDERS = {"prism", "experiments", "analysis", "baselines"}
"""Packages of their own until 0.5, when they moved into `prism_bench`."""


def import_fault(path: Path, error: ImportError) -> str:
    """Why a plug-in file could not be imported, with the line to write where an old name of ours is the reason."""
    fault = f"importing it failed with {type(error).__name__}: {error}"
    if (error.name or "").partition(".")[0] not in FOLDERS:
        return fault
    front = getattr(sys.modules.get("prism_bench"), "__all__", ())
    names = [name for name in dict.fromkeys(_imported(path)) if name in front]
    line = f"from prism_bench import {', '.join(names) or '...'}"
    return f"{fault}; if {error.name} of prism-bench is meant, it lies in one package since version 0.5: write `{line}`"


def _imported(path: Path) -> Iterator[str]:
    """The names that a file imports from those folders."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FOLDERS:
            yield from (alias.name for alias in node.names)
