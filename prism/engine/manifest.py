"""The manifest of a finished stage, `stage.json`: what it is, what it was made from, and checksums of its files."""

import json
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from prism_bench.prism.errors import InputError
from prism_bench.sealed import DamagedError, unsealed


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class FileFacts(_Model):
    """A file's SHA-256 (hex) and size."""

    sha256: str
    bytes: int


class UsedRuntime(_Model):
    """What a stage was computed on: its bits may depend on it, its identity does not.

    torch: the version. compiled: whether a training's network was.
    """

    device: str
    threads: int
    torch: str = ""
    compiled: bool = False

    @classmethod
    def here(cls, device: str, threads: int, *, compiled: bool = False) -> Self:
        """A device and threads of this process."""
        return cls(device=device, threads=threads, torch=version("torch"), compiled=compiled)

    @property
    def kind(self) -> str:
        """The kind of device: cpu, cuda, mps."""
        return self.device.partition(":")[0]


def _inside(name: str) -> str:
    """The name of a file that lies below its stage's folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} is no file below the stage's folder")
    return name


class Manifest(_Model):
    """A finished stage. `identity` is the nested description whose hash is its key; each kind has its own parameters.

    `seconds`: of computing. `peak_bytes`: highest memory, None where it is not known. `earlier`: what an interrupted
    stage was computed on before, where that was something else. `note`: what people should know of it.
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
    note: str = ""
    files: dict[Annotated[str, AfterValidator(_inside)], FileFacts]
    created: str


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
