"""CLIP weights as a file of the user's own: where it lies, and the digest that stands for it.

A method names such weights by the SHA-256 of the file, so that a path is no part of any number; the file is found
among those that `--clip-weights` or PRISM_BENCH_CLIP_WEIGHTS names.
"""

import os
from pathlib import Path

from prism.errors import InputError
from prism.weights import kept_digest

VARIABLE = "PRISM_BENCH_CLIP_WEIGHTS"
"""Files or folders, between them the system's separator of paths; processes that are started inherit it."""
PREFIX = "sha256:"
READ = (".safetensors", ".bin", ".pt", ".pth")
PREFERRED = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""What open_clip's own folders hold."""


def take(path: Path) -> str:
    """The name, "sha256:...", of the weights at `path`, which are found by it from now on.

    Raises:
        InputError: no such file, a folder without weights, or a kind of file that is not read.
    """
    file = weight_file(path)
    known = [part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys((str(file.resolve()), *known)))
    return PREFIX + kept_digest(file)


def find(name: str) -> Path:
    """The file whose digest is `name`; InputError where none that is known has it."""
    places = [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    for place in places:
        file = weight_file(place)
        if PREFIX + kept_digest(file) == name:
            return file
    known = ", ".join(map(str, places)) or "none is named"
    raise InputError(
        f"the CLIP weights {name[: len(PREFIX) + 12]}... are a file that is not known here ({known}); name it with "
        f"--clip-weights PATH or in {VARIABLE}"
    )


def weight_file(path: Path) -> Path:
    """The file itself, or the one that a folder of open_clip's holds; see `take`."""
    if path.is_dir():
        names = sorted(file.name for file in path.iterdir() if file.suffix in READ)
        chosen = [name for name in PREFERRED if name in names] or names
        if not chosen:
            raise InputError(f"{path} holds no weights ({', '.join(READ)}); name the file itself")
        return path / chosen[0]
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder of CLIP weights; check the path")
    if path.suffix not in READ:
        raise InputError(f"{path}: CLIP weights are read from {', '.join(READ)}, not from {path.suffix or 'this'}")
    return path
