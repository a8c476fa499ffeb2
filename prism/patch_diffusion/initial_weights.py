"""Weights that a training begins from: those of an exported model, known by their digest."""

from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from prism_bench.prism.errors import InputError
from prism_bench.prism.weights.export_folder import WEIGHTS, ExportFolder
from prism_bench.prism.weights.user_files import OwnFiles

if TYPE_CHECKING:
    from torch import nn

VARIABLE = "PRISM_BENCH_INITIAL_WEIGHTS"
SHOWN = 3
"""Names of weights in a message, of each kind of misfit."""


def weight_file(path: Path) -> Path:
    """The weights in an exported folder, or the file of them itself, read against the digest that the folder names."""
    folder = ExportFolder.open(path.parent if path.name == WEIGHTS else path)
    folder.check(WEIGHTS)
    return folder.path / WEIGHTS


FILES = OwnFiles("exported weights", VARIABLE, "--from", weight_file)
take = FILES.take


def embedding_dim(name: str) -> int:
    """How long the embeddings are that the weights `name` expect."""
    return ExportFolder.open(FILES.find(name).parent).config.embedding_dim


def check_fits(network: "nn.Module", name: str) -> None:
    """Compare the names and shapes of the weights `name` with a network's, which may be on the device `meta`.

    Raises:
        InputError: they differ (the first of each kind are named), or the file is not known here.
    """
    file = FILES.find(name)
    try:
        with safe_open(file, "pt") as weights:
            there = {key: tuple(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"--from {file.parent}: {WEIGHTS} is no safetensors file ({error})") from None
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    differing = [
        f"{key} is {list(there[key])}, the method's {list(wanted[key])}"
        for key in sorted(wanted.keys() & there.keys())
        if wanted[key] != there[key]
    ]
    kinds = {
        "missing": sorted(wanted.keys() - there.keys()),
        "unexpected": sorted(there.keys() - wanted.keys()),
        "of another shape": differing,
    }
    faults = [f"{len(found)} {kind} ({_first(found)})" for kind, found in kinds.items() if found]
    if faults:
        raise InputError(
            f"--from {file.parent}: its weights do not fit this method: {'; '.join(faults)}; use the variant, scale "
            f"and settings that they were trained with (its config.json names them)"
        )


def begin_from(network: "nn.Module", name: str) -> None:
    """Put the weights `name` in place of a network's initial ones; raises what `check_fits` raises."""
    import torch
    from safetensors.torch import load_file

    check_fits(network, name)
    with torch.no_grad():
        network.load_state_dict(load_file(FILES.find(name)))


def _first(names: list[str]) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
