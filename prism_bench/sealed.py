"""JSON documents that say themselves whether they are whole: each holds a checksum of everything else in it.

Where its lines break and how its keys are ordered does not count. Earlier versions wrote no checksum: their documents
are taken as they are.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CHECKSUM = "checksum"
"""The key of the checksum, in every version to come."""


class DamagedError(ValueError):
    """A document that is not what was written; the message says how it is known."""


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with its checksum."""
    return {**document, CHECKSUM: _checksum(document)}


def unsealed(text: str | bytes) -> dict[str, Any]:
    """The object in a JSON text, checksum included.

    Raises:
        DamagedError: it is no JSON object, or not the one that was sealed.
    """
    try:
        found = json.loads(text)
    except ValueError as error:  # a byte that is no UTF-8, too
        raise DamagedError(f"is not valid JSON ({error})") from None
    except RecursionError:
        raise DamagedError("is not valid JSON (nested too deeply)") from None
    if not isinstance(found, dict):
        raise DamagedError(f"must hold a JSON object, found {type(found).__name__}")
    if CHECKSUM in found and found[CHECKSUM] != _checksum(found):
        raise DamagedError("was changed after it was written: its checksum does not hold")
    return found


def _checksum(document: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of all but the checksum itself."""
    rest = {name: value for name, value in document.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
