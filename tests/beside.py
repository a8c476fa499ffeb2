"""Programs of the repository that lie beside the installed package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def program(name: str) -> ModuleType:
    """benchmarks/NAME.py, as a module of that name."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
