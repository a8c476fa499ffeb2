"""A trained method as a folder to hand on: its weights, what guides its samples, and config.json, which says all else.

Everything in config.json is named: digests of all files, the method's value with its own. Nothing in the folder is a
program: weights and tables are safetensors or .npy, and a method is made from its name and its fields.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, ValidationError

from prism_bench.prism.component import digest_of, from_json
from prism_bench.prism.engine.manifest import FileFacts
from prism_bench.prism.engine.store import file_digest
from prism_bench.prism.errors import InputError
from prism_bench.sealed import DamagedError, unsealed

CONFIG, WEIGHTS, RETRIEVAL = "config.json", "model.safetensors", "retrieval.safetensors"
AGAIN = "copy or fetch the folder again, or write it anew with prism-bench export"


class DataFacts(BaseModel):
    """The images that were learnt from, none of which are in the folder.

    digest: the key of their stage. dataset, split: components. images, retrieval, train: how many there are, in all, in
    D and in X_train.
    """

    model_config = FileFacts.model_config

    label: str
    digest: str
    dataset: dict[str, Any]
    split: dict[str, Any]
    images: int
    retrieval: int
    train: int


class ExportConfig(BaseModel):
    """config.json. `method` and `sampler` are components as JSON objects, `method_digest` the first one's digest.

    embedding_dim, width: the length of the embeddings, and how many neighbours of each image of D are kept; 0 where the
    method has no gallery. training, train_seed: what was exported. plugins: files that declare components of it, by
    their names. files: every file but this one and README.md, which is anyone's to edit.
    """

    model_config = FileFacts.model_config
    newest: ClassVar[int] = 1

    schema_version: Literal[1] = 1
    library_name: Literal["prism-bench"] = "prism-bench"
    version: str
    label: str
    method: dict[str, Any]
    method_digest: str
    resolution: int
    embedding_dim: int
    width: int
    sampler: dict[str, Any]
    k_sample: int
    training: str
    train_seed: int
    data: DataFacts
    plugins: tuple[str, ...] = ()
    files: dict[Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")], FileFacts]


@dataclass(frozen=True)
class ExportFolder:
    """A folder that `prism-bench export` wrote."""

    path: Path
    config: ExportConfig

    @classmethod
    def open(cls, path: Path) -> Self:
        """The folder, its config.json read and its other files looked for, but not read.

        Raises:
            InputError: it is no such folder, files are missing, or a newer program wrote it.
        """
        try:
            text = (path / CONFIG).read_bytes()
        except OSError as error:
            raise InputError(
                f"{path} is no exported model: {CONFIG} cannot be read ({error.strerror}); name the folder that "
                "prism-bench export wrote"
            ) from None
        config = _read(text, path / CONFIG)
        missing = [name for name in config.files if not (path / name).is_file()]
        if missing:
            raise InputError(f"{path} lacks {', '.join(missing)}, of which its {CONFIG} tells; {AGAIN}")
        return cls(path, config)

    def check(self, *names: str) -> None:
        """Read these files (none: all) against their digests.

        Raises:
            InputError: one of them is not what was written.
        """
        for name in names or self.config.files:
            expected, found = self.config.files[name].sha256, file_digest(self.path / name)
            if found != expected:
                raise InputError(
                    f"{self.path / name} is not what was exported: it has sha256 {found[:12]}…, expected "
                    f"{expected[:12]}…; {AGAIN}"
                )

    def component(self, data: dict[str, Any]) -> Any:
        """A component of config.json; InputError, which names the plug-ins that it needs, where it is not known."""
        try:
            return from_json(data)
        except InputError as error:
            needed = "".join(f" --plugin {name}" for name in self.config.plugins)
            hint = f"; it was exported with{needed}, which you need too" if needed else ""
            raise InputError(f"{self.path / CONFIG}: {error}{hint}") from None


def _read(text: bytes, where: Path) -> ExportConfig:
    try:
        data = unsealed(text)
    except DamagedError as error:
        raise InputError(f"{where}: {error}; {AGAIN}") from None
    if data.get("library_name") != ExportConfig.model_fields["library_name"].default:
        raise InputError(f"{where} is not of an exported model of prism-bench's: it has no such library_name")
    version = data.get("schema_version")
    if version != ExportConfig.newest:
        raise InputError(
            f"{where}: has the schema_version {version!r}, and this prism-bench reads {ExportConfig.newest}: a newer "
            "one wrote it; use that one (pip install --upgrade prism-bench)"
        )
    try:
        config = ExportConfig.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}; {AGAIN}") from None
    if digest_of(config.method) != config.method_digest:
        raise InputError(f"{where}: the method is not the one whose digest stands beside it; {AGAIN}")
    if WEIGHTS not in config.files:
        raise InputError(f"{where} names no {WEIGHTS}; {AGAIN}")
    return config
