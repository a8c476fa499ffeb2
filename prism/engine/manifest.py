"""The manifest of a finished stage, `stage.json`: what it is, what it was made from, and checksums of its files."""

import json
from importlib.metadata import version
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from prism_bench.prism.errors import InputError


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class FileFacts(_Model):
    """A file's SHA-256 (hex) and size."""

    sha256: str
    bytes: int


class UsedRuntime(_Model):
    """What a stage was computed on: its bits may depend on it, its identity does not. torch: the version."""

    device: str
    threads: int
    torch: str = ""

    @classmethod
    def here(cls, device: str, threads: int) -> Self:
        """A device and threads of this process."""
        return cls(device=device, threads=threads, torch=version("torch"))

    @property
    def kind(self) -> str:
        """The kind of device: cpu, cuda, mps."""
        return self.device.partition(":")[0]


class Manifest(_Model):
    """A finished stage. `identity` is the nested description whose hash is its key; each kind has its own parameters.

    `seconds`: of computing. `peak_bytes`: highest memory, None where it is not known. `earlier`: what an interrupted
    stage was computed on before, where that was something else.
    """

    newest: ClassVar[int] = 2

    schema_version: Literal[2] = 2
    kind: str
    key: str
    label: str
    identity: dict[str, Any]
    seconds: float
    peak_bytes: int | None
    runtime: UsedRuntime
    earlier: tuple[UsedRuntime, ...] = ()
    files: dict[str, FileFacts]
    created: str


def read_manifest(text: bytes, where: str) -> Manifest | None:
    """The manifest in a file's bytes; None where they are no such thing.

    Raises:
        InputError: a newer program wrote it; it must not be taken for a damaged one and made anew.
    """
    try:
        data = json.loads(text)
        version = data.get("schema_version", 1)
    except (ValueError, AttributeError):
        return None
    if version not in range(1, Manifest.newest + 1):
        raise InputError(
            f"{where}: has the schema_version {version!r}, and this prism-bench reads 1 to {Manifest.newest}: a newer "
            "one wrote it; use that one (pip install --upgrade prism-bench), or another store (--store)"
        )
    try:
        return Manifest.model_validate_json(text if version == Manifest.newest else json.dumps(_upgraded(data)))
    except ValidationError:
        return None


def _upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 (0.4.0): nothing but the version is new; stages of the first releases tell no memory."""
    return {"peak_bytes": None, **data, "schema_version": Manifest.newest}
