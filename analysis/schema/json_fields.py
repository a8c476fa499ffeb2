"""Checked reading of JSON objects: every complaint names the file, the key and the value found."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from prism_bench.analysis.errors import AnalysisError


@dataclass(frozen=True, kw_only=True)
class Fields:
    """One JSON object and where it was found ('plan.json: rows[2]'). Keys nobody asks for are ignored."""

    where: str
    data: Mapping[str, object]

    def _fail(self, key: str, expected: str) -> AnalysisError:
        found = f"{self.data[key]!r}" if key in self.data else "nothing"
        return AnalysisError(f"{self.where}: {key!r} must be {expected}, found {found}")

    def text(self, key: str) -> str:
        """A string."""
        value = self.data.get(key)
        if not isinstance(value, str):
            raise self._fail(key, "a string")
        return value

    def optional_text(self, key: str) -> str | None:
        """A string, or None where the key is absent or null."""
        return None if self.data.get(key) is None else self.text(key)

    def choice(self, key: str, allowed: Collection[str]) -> str:
        """One of the allowed strings."""
        value = self.data.get(key)
        if not isinstance(value, str) or value not in allowed:
            raise self._fail(key, f"one of {', '.join(sorted(allowed))}")
        return value

    def whole(self, key: str) -> int:
        """An integer."""
        value = self.data.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._fail(key, "a whole number")
        return value

    def optional_whole(self, key: str) -> int | None:
        """An integer, or None where the key is absent or null."""
        return None if self.data.get(key) is None else self.whole(key)

    def number(self, key: str) -> float:
        """A finite number."""
        value = self.data.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self._fail(key, "a finite number")
        return float(value)

    def optional_number(self, key: str) -> float | None:
        """A finite number, or None where the key is absent or null."""
        return None if self.data.get(key) is None else self.number(key)

    def flag(self, key: str) -> bool:
        """A boolean; False where the key is absent."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise self._fail(key, "true or false")
        return value

    def mapping(self, key: str) -> dict[str, object]:
        """An object with its keys in their order; empty where the key is absent or null."""
        value = self.data.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._fail(key, "an object")
        return dict(value)

    def words(self, key: str) -> dict[str, str]:
        """An object whose values are texts; empty where the key is absent or null."""
        found = self.mapping(key)
        for name, value in found.items():
            if not isinstance(value, str):
                raise AnalysisError(f"{self.where}: {key}[{name!r}] must be a text, found {value!r}")
        return {name: str(value) for name, value in found.items()}

    def nested(self, key: str) -> "Fields":
        """The object under a key."""
        if self.data.get(key) is None:
            raise self._fail(key, "an object")
        return Fields(where=f"{self.where}: {key}", data=self.mapping(key))

    def array(self, key: str) -> list[object]:
        """A list; empty where the key is absent or null."""
        value = self.data.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._fail(key, "a list")
        return value

    def objects(self, key: str) -> "list[Fields]":
        """A list of objects; empty where the key is absent or null."""
        found = []
        for index, item in enumerate(self.array(key)):
            where = f"{self.where}: {key}[{index}]"
            if not isinstance(item, dict):
                raise AnalysisError(f"{where} must be an object, found {item!r}")
            found.append(Fields(where=where, data=item))
        return found


def read_object(path: Path) -> Fields:
    """The JSON object in a file.

    Raises:
        AnalysisError: the file cannot be read, or holds no JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AnalysisError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise AnalysisError(
            f"{path}: not valid JSON ({error}); delete the file and run the same command again"
        ) from error
    return as_object(data, str(path))


def as_object(data: object, where: str) -> Fields:
    """An already decoded JSON object, named `where` in messages; AnalysisError where it is none."""
    if not isinstance(data, Mapping):
        raise AnalysisError(f"{where}: must hold a JSON object, found {type(data).__name__}")
    return Fields(where=where, data=data)
