"""Pages whose commands are run while the site is built, and show what they printed.

In a page, with what it means:

    ```toml title="NAME"             the block is written to the file NAME
    ```sh run                        each line is typed; what it prints follows. `run=LINES` keeps as many of the end
    ```python run                    the block is a program; likewise
    <!-- file: PATTERN LANGUAGE -->  the file that the pattern finds stands here
    <!-- picture: PATTERN TEXT -->   likewise a picture

A page shares one empty folder. What fails ends the build. With DOCS_RUN=0 in the environment nothing is run.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mkdocs.exceptions import PluginError

BLOCK = re.compile(
    r'^```(?P<language>\w+) (?:title="(?P<title>[^"]+)"|(?P<run>run)(?:=(?P<lines>\d+))?)\n(?P<text>.*?)^```\n'
    r"|^<!-- (?P<shown>file|picture): (?P<pattern>\S+) (?P<as>.+?) -->\n",
    re.DOTALL | re.MULTILINE,
)
RUN = re.compile(r"^```\w+ run", re.MULTILINE)
LONGEST = 300
"""Seconds that one block may take."""


@dataclass
class Executed:
    """A page with what its commands printed, and its pictures by name."""

    markdown: str = ""
    pictures: dict[str, bytes] = field(default_factory=dict)


class Runner:
    """Runs pages, each again only when its text has changed (`mkdocs serve` builds many times)."""

    def __init__(self) -> None:
        self.done: dict[str, Executed] = {}

    def run(self, name: str, markdown: str) -> Executed | None:
        """The page as it came out; None where it has nothing to run, or nothing is to be run."""
        if not RUN.search(markdown) or os.environ.get("DOCS_RUN") == "0":
            return None
        if markdown not in self.done:
            with tempfile.TemporaryDirectory() as folder:
                self.done[markdown] = Folder(name, Path(folder).resolve()).page(markdown)
        return self.done[markdown]


class Folder:
    """Where one page is run."""

    def __init__(self, page: str, folder: Path) -> None:
        self.page_name, self.folder, self.pictures = page, folder, dict[str, bytes]()

    def page(self, markdown: str) -> Executed:
        """Run its blocks, in their order."""
        return Executed(BLOCK.sub(self._block, markdown), self.pictures)

    def _block(self, found: "re.Match[str]") -> str:
        if found["title"]:
            (self.folder / found["title"]).write_text(found["text"])
            return found[0]
        if found["run"]:
            printed = self._printed(found["language"], found["text"], int(found["lines"] or 0))
            code = f"```{found['language']}\n{found['text']}```\n"
            return f"{code}\n```text\n{printed}\n```\n" if printed else code
        shown: dict[str, Callable[[Path, str], str]] = {"file": self._file, "picture": self._picture}
        return shown[found["shown"]](self._found(found["pattern"]), found["as"])

    def _printed(self, language: str, text: str, lines: int) -> str:
        command = [sys.executable, "-c", text] if language == "python" else ["sh", "-e", "-c", text]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            timeout=LONGEST,
            check=False,
        )
        if done.returncode:
            raise PluginError(f"{self.page_name}: exit code {done.returncode} of\n{text}\n{done.stdout}")
        said = done.stdout.strip("\n").replace(str(self.folder), "/home/you/trying")
        told = [line.rstrip() for line in said.splitlines()]
        return "\n".join(["...", *told[-lines:]] if 0 < lines < len(told) else told)

    def _found(self, pattern: str) -> Path:
        paths = sorted(self.folder.glob(pattern))
        if len(paths) != 1:
            raise PluginError(f"{self.page_name}: {pattern} finds {len(paths)} files, not one")
        return paths[0]

    def _file(self, path: Path, language: str) -> str:
        return f"```{language}\n{path.read_text().rstrip()}\n```\n"

    def _picture(self, path: Path, text: str) -> str:
        self.pictures[path.name] = path.read_bytes()
        return f"![{text}]({path.name})\n"


def environment() -> dict[str, str]:
    """That of a reader: the programs of this Python first, no store of the one who builds, a terminal of 90 columns."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PRISM_BENCH", "MLFLOW"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", "")])
    return {**own, "PATH": path, "COLUMNS": "90", "NO_COLOR": "1", "PYTHONUTF8": "1"}
