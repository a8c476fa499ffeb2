"""`prism-bench schema`: the JSON Schema of the files that a store holds."""

import json
from enum import StrEnum
from typing import Annotated

import typer


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
    from pydantic import BaseModel

    from prism_bench.analysis.schema.records import Plan, Record
    from prism_bench.prism.engine.manifest import Manifest

    models: dict[Document, type[BaseModel]] = {
        Document.record: Record,
        Document.plan: Plan,
        Document.manifest: Manifest,
    }
    typer.echo(json.dumps(models[document].model_json_schema(mode="serialization"), indent=1))
