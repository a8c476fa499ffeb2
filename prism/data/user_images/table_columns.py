"""Which columns of a table are the pictures and their labels, by its schema and by what `datasets` notes in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from prism_bench.prism.data.user_images.label_sheets import LABEL_COLUMNS

NOTED = b"huggingface"
PREFERRED = "image"
LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_struct, pa.types.is_map)


class NoPicturesError(ValueError):
    """A table has no column of pictures, or it is not clear which; the message says what there is and what to do."""


@dataclass(frozen=True)
class Columns:
    """The column of pictures, that of labels, and the class names of its whole numbers, where it has names.

    why: the reason why there are no labels. others: the columns that are not looked at.
    """

    image: str
    label: str | None
    names: tuple[str, ...]
    why: str
    others: tuple[str, ...]


def columns_of(schema: pa.Schema) -> Columns:
    """Choose them.

    The pictures: the one column that `datasets` notes as an Image, or, where it notes none, that holds files (binary,
    or a struct with `bytes`); of several the one called `image`. The labels: the one that it notes as a ClassLabel; of
    several, or of none, the one called `label`, `class`, `class_name` or `category`.

    Raises:
        NoPicturesError: there is none, or several.
    """
    if len(set(schema.names)) < len(schema.names):
        raise NoPicturesError(f"columns that share a name ({', '.join(schema.names)}); give each its own")
    features = _features(schema)
    image = _image(schema, features)
    label, why = _label(schema, features, image)
    names = features.get(label or "", {}).get("names")
    classes = tuple(map(str, names)) if isinstance(names, list) else ()
    others = tuple(name for name in schema.names if name not in {image, label})
    return Columns(image, label, classes, why, others)


def holds_pictures(schema: pa.Schema) -> bool:
    """Whether a table has columns of pictures."""
    return bool(_images(schema, _features(schema)))


def _features(schema: pa.Schema) -> dict[str, Mapping[str, Any]]:
    """What `datasets` notes of each column; nothing where another program wrote the table."""
    try:
        noted = json.loads((schema.metadata or {})[NOTED])["info"]["features"]
        return {name: feature for name, feature in noted.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _image(schema: pa.Schema, features: Mapping[str, Mapping[str, Any]]) -> str:
    found = _images(schema, features)
    chosen = found[0] if len(found) == 1 else PREFERRED
    if not found:
        held = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise NoPicturesError(
            f"no column of pictures in it (columns: {held or 'none'}); one should hold image files, as binary or as a "
            "struct of `bytes` and `path`"
        )
    if chosen not in found:
        raise NoPicturesError(
            f"{len(found)} columns of pictures ({', '.join(found)}); name the one that is meant {PREFERRED!r}, or "
            "leave the others out"
        )
    if not _holds_files(schema.field(chosen).type):
        raise NoPicturesError(
            f"the column {chosen!r} holds {schema.field(chosen).type}: where pictures lie, and not the pictures; "
            "give their folder, or what save_to_disk of `datasets` leaves, which holds them"
        )
    return chosen


def _images(schema: pa.Schema, features: Mapping[str, Mapping[str, Any]]) -> list[str]:
    noted = [name for name in schema.names if features.get(name, {}).get("_type") == "Image"]
    # What is noted as another kind of file, a sound say, is no picture.
    plain = [it.name for it in schema if features.get(it.name, {}).get("_type", "Value") == "Value"]
    return noted or [name for name in plain if _holds_files(schema.field(name).type)]


def _holds_files(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _is_binary(kind.field(index).type)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _label(schema: pa.Schema, features: Mapping[str, Mapping[str, Any]], image: str) -> tuple[str | None, str]:
    """The column of labels, or the reason why there is none."""
    noted = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    named = [name for wanted in LABEL_COLUMNS for name in schema.names if name.lower() == wanted and name != image]
    if len(noted) == 1:
        return noted[0], ""
    preferred = [name for name in named if name in noted or not noted]
    if noted and not preferred:
        return None, f"{_listed(noted)} are all class labels, and none is called {LABEL_COLUMNS[0]!r}"
    if not preferred:
        return None, f"no column is called {', '.join(LABEL_COLUMNS[:-1])} or {LABEL_COLUMNS[-1]}"
    kind = schema.field(preferred[0]).type
    if pa.types.is_floating(kind) or any(test(kind) for test in LISTS):
        return None, f"{preferred[0]!r} holds {kind}, which names no class"
    return preferred[0], ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
