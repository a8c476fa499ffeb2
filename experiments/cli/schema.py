"""`prism-bench schema`: the JSON Schema of the files that a store holds."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from prism_bench.sealed import CHECKSUM

ABOUT = (
    "SHA-256 of the rest as JSON with sorted keys and without spaces; files of 0.4.0 have none. One that does not hold "
    "means that the file was changed after it was written, and it is not read."
)


class Document(StrEnum):
    """The kinds of files."""

    record = "record"
    plan = "plan"
    manifest = "manifest"


def schema(
    document: Annotated[
        Document, typer.Argument(help="record: a cell's result; plan: what was asked; manifest: a stage's stage.json.")
    ],
) -> None:
    """Print the JSON Schema of a record, a plan or a manifest, for programs that read a store."""
    typer.echo(json.dumps(json_schema(document), indent=1))


def json_schema(document: Document) -> dict[str, Any]:
    """The JSON Schema of a kind of files."""
    from pydantic import BaseModel

    from prism_bench.analysis.schema.records import Plan, Record
    from prism_bench.prism.engine.manifest import Manifest

    models: dict[Document, type[BaseModel]] = {
        Document.record: Record,
        Document.plan: Plan,
        Document.manifest: Manifest,
    }
    schema: dict[str, Any] = models[document].model_json_schema(mode="serialization")
    schema["properties"][CHECKSUM] = {"type": "string", "description": ABOUT, "pattern": "^[0-9a-f]{64}$"}
    return schema
