"""CLIP weights as a file of the user's own: where it lies, and the digest that stands for it.

See `prism.weights.user_files`.
"""

from pathlib import Path

from prism_bench.prism.errors import InputError
from prism_bench.prism.weights.user_files import OwnFiles

VARIABLE = "PRISM_BENCH_CLIP_WEIGHTS"
READ = (".safetensors", ".bin", ".pt", ".pth")
PREFERRED = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""What open_clip's own folders hold."""


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


FILES = OwnFiles("CLIP weights", VARIABLE, "--clip-weights", weight_file)
take, find = FILES.take, FILES.find
