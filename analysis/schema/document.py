"""What plans and records have in common: frozen models, a version, and one way of reading that names what is wrong."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.sealed import DamagedError, unsealed

FILE_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
RECORD_NAME = "^[0-9A-Za-z]+$"
EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a finite number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    FILE_NAME: "letters, digits, . _ - only, for it names files",
    RECORD_NAME: "letters and digits only, for it names a file",
}
"""What a value must be, by pydantic's name of the fault or by the pattern."""
REMEDY = "delete the file and run the same command again"


class Model(BaseModel):
    """One JSON object. Numbers are finite; keys that are not in the schema are passed over when a file is read."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but for what was worked out of the fields and kept: the copy may have others."""
        made = super().model_copy(update=update, deep=deep)
        for name in made.__dict__.keys() - type(made).model_fields.keys():
            del made.__dict__[name]
        return made


class Document(Model):
    """One JSON file. Its field `schema_version` has the version that is written as its default."""

    newest: ClassVar[int]

    @classmethod
    def upgraded(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The content of an older file with what its version lacks; a key of the wrong kind is left as it is."""
        return data


D = TypeVar("D", bound=Document)


def read(document: type[D], source: Path | Mapping[str, object]) -> D:
    """A document from its file or from the decoded object.

    Raises:
        AnalysisError: the file cannot be read or is no JSON; a key is missing or of the wrong kind.
        NewerSchemaError: a version of the schema that this program does not know.
    """
    if not isinstance(source, Path):
        return parse(document, json.dumps(source), document.__name__.lower())
    try:
        return parse(document, source.read_bytes(), str(source))
    except OSError as error:
        raise AnalysisError(f"{source}: cannot be read ({error.strerror}); check the path") from error


def parse(document: type[D], text: str | bytes, where: str) -> D:
    """A document from its text, called `where` in messages; raises what `read` raises."""
    try:
        data = unsealed(text)
    except DamagedError as error:
        raise AnalysisError(f"{where}: {error}; {REMEDY}") from None
    version = data.get("schema_version", 1)
    if version not in range(1, document.newest + 1):
        raise NewerSchemaError(
            f"{where}: has the schema_version {version!r}, and this prism-bench reads 1 to {document.newest}: a newer "
            "one wrote it; use that one (pip install --upgrade prism-bench), or another store (--store)"
        )
    if version < document.newest:
        text = json.dumps({**document.upgraded(data), "schema_version": document.newest})
    try:
        return document.model_validate_json(text)
    except ValidationError as error:
        raise AnalysisError(complaint(error, where)) from None


def complaint(error: ValidationError, where: str) -> str:
    """The first fault as one line: the file, the place in it, what must be there and what is; then what to do."""
    first = error.errors(include_url=False)[0]
    kind, context, steps = first["type"], first.get("ctx", {}), [*_steps(first["loc"])]
    if not steps:
        return f"{where}: {first['msg']}; {REMEDY}"
    if kind == "value_error":
        return f"{': '.join([where, *steps])}: {context['error']}"
    place, name = ": ".join([where, *steps[:-1]]), steps[-1] if steps[-1].endswith("]") else repr(steps[-1])
    if kind == "missing":
        return f"{place}: {name} is missing; {REMEDY}"
    expected = context.get("expected") or EXPECTED.get(context.get("pattern", kind), first["msg"])
    return f"{place}: {name} must be {expected}, found {first['input']!r}; {REMEDY}"


def _steps(location: tuple[int | str, ...]) -> Iterator[str]:
    """('rows', 2, 'cells') -> 'rows[2]', 'cells'."""
    for index, step in enumerate(location):
        if isinstance(step, str):
            number = location[index + 1] if index + 1 < len(location) else None
            yield f"{step}[{number}]" if isinstance(number, int) else step
