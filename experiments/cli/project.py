"""What `prism-bench.toml` adds to what was typed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from prism_bench.experiments.options.option import words_for
from prism_bench.experiments.options.project import ProjectFile

TYPED = ("COMMANDLINE", "ENVIRONMENT", "PROMPT")
"""Where a value may come from, as click calls it, that the file does not replace."""


@dataclass(frozen=True)
class OfProject:
    """Values by field; `said`: as the file has them. words: them and those of the environment, as they are typed."""

    path: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    said: Sequence[str] = ()
    words: Sequence[str] = ()

    def tell(self, *, quiet: bool) -> None:
        """Say on standard error what came from the file."""
        if self.said and not quiet:
            typer.echo(f"From {self.path}: {', '.join(self.said)}", err=True)


def of_project(context: typer.Context, kind: type[object]) -> OfProject:
    """What the closest file says for the command, but for what was typed or stands in the environment.

    Raises:
        InputError: as `ProjectFile.closest`.
    """
    root = context.find_root()
    sources = {name: getattr(context.get_parameter_source(name), "name", "") for name in context.params}
    outside = {name: value for name, value in context.params.items() if sources[name] == "ENVIRONMENT"}
    found = ProjectFile.closest(dict(_kinds(root.command)))
    if found is None:
        return OfProject(words=words_for(kind, outside))
    name = context.command_path.removeprefix(root.command_path).strip()
    added = {field: one for field, one in found.options(name, kind).items() if sources[field] not in TYPED}
    return OfProject(
        path=found.path,
        values={field: one.given for field, one in added.items()},
        said=[f"{one.key} = {_spelled(one.value)}" for one in added.values()],
        words=words_for(kind, {**outside, **{field: one.value for field, one in added.items()}}),
    )


def _kinds(command: Any, name: str = "") -> Iterator[tuple[str, type[object]]]:
    """Every command below one, by its name, with the class of its options where it has one."""
    for word, below in getattr(command, "commands", {}).items():
        yield from _kinds(below, f"{name} {word}".strip())
    kind = getattr(command.callback, "options", None)
    if kind is not None:
        yield name, kind


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join("=".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value)
    return str(value)
