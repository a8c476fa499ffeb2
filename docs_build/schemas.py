"""The reference of the files in a store, from their JSON Schemas."""

from collections.abc import Iterator, Mapping
from typing import Any

from prism_bench.experiments.cli.schema import Document, json_schema

INTRODUCTION = """# Records, plans, manifests

The files of a store that programs may read, all of them JSON. `prism-bench schema record|plan|manifest` prints the \
JSON Schema that this page is made of. What was measured is easier read as [the frame](../frame.md); what keeps these \
files whole: [reliability](../reliability.md).
"""
PLACES = {
    Document.record: "`records/NAME.json`: the result of one cell",
    Document.plan: "`experiments/EXPERIMENT/NAME.json`: what was asked, cell by cell",
    Document.manifest: "`stages/KIND/KEY/stage.json`: a finished stage",
}


def schemas_page() -> str:
    """Markdown: a section for each kind of file, a table for each object in it."""
    return "\n".join([INTRODUCTION, *(line for document in Document for line in section(document))])


def section(document: Document) -> Iterator[str]:
    """One kind of file."""
    schema = json_schema(document)
    yield f"## {document.value.capitalize()}\n"
    yield f"{PLACES[document]}. {told(schema)}\n"
    yield from fields(schema, document)
    for name, part in schema.get("$defs", {}).items():
        if "properties" in part:
            yield f"### {name} ({document.value}) {{ #{anchor(document, name)} }}\n"
            yield f"{told(part)}\n"
            yield from fields(part, document)
        elif "enum" in part:
            yield f"### {name} ({document.value}) {{ #{anchor(document, name)} }}\n"
            yield f"One of {', '.join(f'`{value}`' for value in part['enum'])}.\n"


def fields(schema: Mapping[str, Any], document: Document) -> Iterator[str]:
    """A table of an object's keys."""
    wanted = set(schema.get("required", ()))
    yield "| key | type | always there | what it holds |\n| --- | --- | --- | --- |"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {kind(field, document)} | {'yes' if name in wanted else ''} | {told(field)} |"
    yield ""


def told(field: Mapping[str, Any]) -> str:
    """Its description, in one line that a table bears."""
    return " ".join(str(field.get("description", "")).split()).replace("|", "\\|").replace("<", "&lt;")


def kind(field: Mapping[str, Any], document: Document) -> str:
    """Its type in words; a part of the file as a link."""
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        return "any JSON" if name == "JsonValue" else f"[{name}](#{anchor(document, name)})"
    if "anyOf" in field or "oneOf" in field:
        return " or ".join(dict.fromkeys(kind(one, document) for one in field.get("anyOf", field.get("oneOf"))))
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    inside = field.get("items" if field.get("type") == "array" else "additionalProperties")
    if isinstance(inside, Mapping):
        return f"{'list of' if field['type'] == 'array' else 'mapping to'} {kind(inside, document)}"
    return str(field.get("type", "any"))


def anchor(document: Document, name: str) -> str:
    """Where a part of a file's schema stands on the page."""
    return f"{document.value}-{name.lower()}"
