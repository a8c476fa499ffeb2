"""Takes the places of one machine out of texts that leave it: the store, the home, and other absolute paths."""

import json
import platform
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape as html_escape
from pathlib import Path
from typing import Any

from prism_bench.analysis.formats.latex_escape import escape as latex_escape
from prism_bench.sealed import CHECKSUM, sealed

STORE = "STORE"
"""What stands for the store's folder."""
HOME = "HOME"
"""What stands for the home of whoever made the bundle."""
ABSOLUTE = re.compile(r"(?:(?<=file://)|(?<![\w.~/:\\-]))(?:/|[A-Za-z]:\\)(?:[^\s/\\:'\"(),;]+[/\\])+[^\s/\\:'\"(),;]*")
"""An absolute path with at least one folder, as it stands in a sentence."""
HOMES = re.compile(r"(?<![\w.~-])(?:/home|/Users|[A-Za-z]:\\+Users)[/\\]+[^\s/\\:'\"(),;<>&]+")
"""Anybody's home: results are passed on, and whoever bundles them need not be who computed them."""


@dataclass
class Anonymous:
    """Replaces places in JSON values, remembers what it replaced, and does the same in texts made from them."""

    store: Path
    replaced: dict[str, str] = field(default_factory=dict)
    """Path -> what stands for it."""

    @property
    def places(self) -> dict[str, str]:
        """The folders that may stand nowhere, longest first, and what stands for each."""
        own = {str(self.store.absolute()): STORE, str(self.store.resolve()): STORE, str(Path.home()): HOME}
        found = {path: word for path, word in own.items() if len(Path(path).parts) > 1}
        return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))

    def value(self, value: Any, key: str = "") -> Any:
        """The same JSON value without places; in commands and reasons a path outside the store keeps its last part."""
        if isinstance(value, dict):
            return {name: self.value(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, key) for item in value]
        if not isinstance(value, str):
            return value
        return self._command(value) if key == "command" else self._sentence(value, paths=key == "reason")

    def data(self, data: bytes) -> bytes:
        """JSON as the store writes it, without places; the same bytes where there are none."""
        value = json.loads(data)
        clean = self.value(value)
        if clean == value:
            return data
        # A document that was sealed is so again.
        whole = sealed(clean) if isinstance(clean, dict) and CHECKSUM in clean else clean
        return (json.dumps(whole, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()

    def text(self, text: str) -> str:
        """A report's text, in which what was replaced may stand as it is or escaped for LaTeX, HTML or JSON."""
        known = {**self.replaced, **self.places}
        for path, word in sorted(known.items(), key=lambda pair: -len(pair[0])):
            for form in _forms(path):
                text = text.replace(form, word)
        return HOMES.sub(HOME, text)

    def left(self, data: bytes, *, shortest: int = 1) -> str | None:
        """A place or the name of this machine that still stands in the bytes; None where they are clean.

        Words of fewer than `shortest` characters are not looked for: in large arrays they occur by chance.
        """
        words = [form for path in (*self.places, *self.replaced) for form in _forms(path)]
        host = platform.node()
        # A plain word would be found by chance.
        words += [host] if len(host) > 5 and not host.isalpha() else []
        words += [home.group() for home in HOMES.finditer(data.decode("latin-1"))] if b"/home/" in data else []
        return next(
            (word for word in words if len(word) >= shortest and word.encode("latin-1", "replace") in data), None
        )

    def _command(self, text: str) -> str:
        try:
            words = shlex.split(text)
        except ValueError:
            return self._sentence(text, paths=True)
        clean = [self._word(word, before) for word, before in zip(words, ["", *words], strict=False)]
        return text if clean == words else " ".join(map(shlex.quote, clean))

    def _word(self, word: str, before: str) -> str:
        """One word of a command: a path, or option=path, or option=name=path."""
        head, equals, tail = word.rpartition("=")
        path = Path(tail)
        if not path.is_absolute() or len(path.parts) < 2:
            return self._sentence(word, paths=False)
        # The store may have been moved since: what the command called it is still the store.
        clean = self._note(tail, STORE) if "--store" in {before, head} else self._path(tail)
        return f"{head}{equals}{clean}"

    def _path(self, path: str) -> str:
        for place, word in self.places.items():
            if word == STORE and Path(path).is_relative_to(place):
                return self._note(path, str(Path(word) / Path(path).relative_to(place)))
        is_home = path == str(Path.home()) or HOMES.fullmatch(path)
        return self._note(path, HOME if is_home else Path(path).name)

    def _sentence(self, text: str, *, paths: bool) -> str:
        for place, word in self.places.items():
            if place in text:
                text = text.replace(place, self._note(place, word))
        text = ABSOLUTE.sub(lambda found: self._path(found.group()), text) if paths else text
        return HOMES.sub(lambda found: self._note(found.group(), HOME), text)

    def _note(self, path: str, word: str) -> str:
        self.replaced[path] = word
        return word


def _forms(path: str) -> Iterator[str]:
    """A path as plain text, LaTeX, HTML and JSON write it."""
    yield from dict.fromkeys((path, latex_escape(path), html_escape(path), json.dumps(path)[1:-1]))
