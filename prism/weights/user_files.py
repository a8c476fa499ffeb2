"""Files of the user's own that a method names by their digest, so that a path is no part of any number.

They are found among those that an option or an environment variable names; processes that are started inherit it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prism_bench.prism.errors import InputError
from prism_bench.prism.weights.published_files import kept_digest

PREFIX = "sha256:"


@dataclass(frozen=True)
class OwnFiles:
    """One kind of such files: what it is called, the variable and option that name it, and the file that a path means.

    The variable holds files or folders, between them the system's separator of paths. `resolve` raises InputError
    where a path means no such file.
    """

    what: str
    variable: str
    option: str
    resolve: Callable[[Path], Path]

    def take(self, path: Path) -> str:
        """The name, "sha256:...", of the file at `path`, which is found by it from now on; InputError where none is."""
        file = self.resolve(path)
        os.environ[self.variable] = os.pathsep.join(dict.fromkeys((str(file.resolve()), *self._known())))
        return PREFIX + kept_digest(file)

    def find(self, name: str) -> Path:
        """The file whose digest is `name`; InputError where none that is known has it."""
        for place in self._known():
            file = self.resolve(Path(place))
            if PREFIX + kept_digest(file) == name:
                return file
        known = ", ".join(self._known()) or "none is named"
        raise InputError(
            f"the {self.what} {name[: len(PREFIX) + 12]}... is a file that is not known here ({known}); name it with "
            f"{self.option} PATH or in {self.variable}"
        )

    def _known(self) -> list[str]:
        return [part for part in os.environ.get(self.variable, "").split(os.pathsep) if part]
