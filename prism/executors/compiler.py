"""The C++ compiler that torch.compile makes its kernels with."""

import os
import shutil
import sys

from prism_bench.prism.errors import InputError


def check_compiler() -> None:
    """Raise InputError where torch would find none, in the place where it looks."""
    usual = {"win32": "cl", "darwin": "clang++"}.get(sys.platform, "g++")
    name = os.environ.get("CXX", usual)
    if shutil.which(name) is None:
        raise InputError(
            f"--compile needs a C++ compiler, and there is no {name} here; install one, name another in the "
            "environment variable CXX, or leave --compile out"
        )
