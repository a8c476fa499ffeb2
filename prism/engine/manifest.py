"""The manifest of a finished stage, `stage.json`: what it is, what it was made from, and checksums of its files."""

import json
from functools import cache
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from prism_bench.prism.errors import InputError
from prism_bench.sealed import DamagedError, unsealed


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True
    )


class FileFacts(_Model):
    """What a file of a stage must be."""

    sha256: str
    """SHA-256 of its bytes, 64 hexadecimal digits."""
    bytes: int
    """Its size, bytes."""


class UsedRuntime(_Model):
    """What a stage was computed on: its bits may depend on it, its identity does not."""

    device: str
    """`cpu`, `cuda:0`, `mps`."""
    threads: int
    """Threads of the CPU that it could use, at least 1."""
    torch: str = ""
    """Version of torch; empty in manifests of earlier versions."""
    compiled: bool = False
    """Whether a training's network was compiled."""

    @classmethod
    def here(cls, device: str, threads: int, *, compiled: bool = False) -> Self:
        """A device and threads of this process."""
        return cls(device=device, threads=threads, torch=_torch_version(), compiled=compiled)

    @property
    def kind(self) -> str:
        """The kind of device: cpu, cuda, mps."""
        return self.device.partition(":")[0]


@cache
def _torch_version() -> str:
    return version("torch")


def _inside(name: str) -> str:
    """The name of a file that lies below its stage's folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} is no file below the stage's folder")
    return name


class Manifest(_Model):
    """A finished stage."""

    newest: ClassVar[int] = 2

    schema_version: Literal[2] = 2
    """Version of this schema; a file without it is of version 1."""
    kind: str
    """Kind of the stage: `dataset`, `training`, `metric` ..."""
    key: str
    """Start of the hash of `identity`; the stage lies in `stages/KIND/KEY`."""
    label: str
    """What messages call it."""
    identity: dict[str, Any]
    """The nested description whose hash is the key: parameters, each kind having its own, and the keys of inputs."""
    seconds: float
    """Time of computing, seconds; of an interrupted stage that of all its parts."""
    peak_bytes: int | None
    """Highest memory, bytes: the GPU's where one was used, else the process's; null where it is not known."""
    runtime: UsedRuntime
    """What it was computed on."""
    earlier: tuple[UsedRuntime, ...] = ()
    """What an interrupted stage was computed on before, where that was something else."""
    note: str = ""
    """What people should know of it; mostly empty."""
    code: dict[str, str] = Field(default_factory=dict, exclude_if=lambda files: not files)
    """The user's own files that declare parts of it: name -> SHA-256 of what their code does."""
    files: dict[Annotated[str, AfterValidator(_inside)], FileFacts]
    """Its files, by their path below the stage's folder."""
    created: str
    """When it was finished: local time with its offset from UTC, 2025-01-31T12:00:00+0100."""


def read_manifest(text: bytes, where: str) -> Manifest:
    """The manifest in a file's bytes.

    Raises:
        DamagedError: they are no such thing, or not what was written.
        InputError: a newer program wrote it; it must not be taken for a damaged one and made anew.
    """
    data = unsealed(text)
    version = data.get("schema_version", 1)
    if version not in range(1, Manifest.newest + 1):
        raise InputError(
            f"{where}: has the schema_version {version!r}, and this prism-bench reads 1 to {Manifest.newest}: a newer "
            "one wrote it; use that one (pip install --upgrade prism-bench), or another store (--store)"
        )
    try:
        return Manifest.model_validate_json(text if version == Manifest.newest else json.dumps(_upgraded(data)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise DamagedError(f"is no manifest ({'.'.join(map(str, first['loc']))}: {first['msg']})") from None


def _upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 (0.4.0): nothing but the version is new; stages of the first releases tell no memory."""
    return {"peak_bytes": None, **data, "schema_version": Manifest.newest}
