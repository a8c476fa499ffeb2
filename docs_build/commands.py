"""The reference of the commands, of the program itself."""

from collections.abc import Iterable, Iterator
from typing import Any

from typer.main import get_command

from prism_bench.experiments.cli.main import app

INTRODUCTION = """# Commands

What `prism-bench COMMAND --help` shows, of every command. What they print, `prism-bench.toml` and completion: \
[the command line](../command-line.md). The options of the functions of `import prism_bench` have the same names and \
values: [Python](python.md).
"""


def commands_page() -> str:
    """Markdown: a section for each command, a table for each panel of its options."""
    return "\n".join(
        [INTRODUCTION, *(line for name, one in leaves(get_command(app), "") for line in section(name, one))]
    )


def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The commands below a group, with their full names."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, below in command.commands.items():
        yield from leaves(below, f"{name} {word}".strip())


def section(name: str, command: Any) -> Iterator[str]:
    """One command."""
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name != "argument"]
    yield f"## prism-bench {name}\n"
    yield f"{(command.help or '').strip()}\n"
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *(metavar(one) for one in arguments)])
    yield f"```text\nprism-bench {usage}\n```\n"
    if arguments:
        yield from table("Argument", ((f"`{metavar(one)}`", one) for one in arguments))
    for panel in dict.fromkeys(getattr(one, "rich_help_panel", None) for one in options):
        here = [one for one in options if getattr(one, "rich_help_panel", None) == panel]
        yield from table(panel or "Option", ((flags(one), one) for one in here))


def table(title: str, lines: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """Names and helps, with defaults and variables of the environment."""
    yield f"| {title} | |\n| --- | --- |"
    for name, one in lines:
        more = [] if one.envvar is None else [f"variable `{one.envvar}`"]
        if one.default not in (None, False, (), [], "") and not callable(one.default):
            more.append(f"default `{one.default}`")
        told = " · ".join([(one.help or "").strip(), *more])
        yield f"| {name} | {told.replace('|', chr(92) + '|').replace('<', '&lt;')} |"
    yield ""


def flags(option: Any) -> str:
    """`--name`, `-n` VALUE."""
    names = ", ".join(f"`{flag}`" for flag in (*option.opts, *option.secondary_opts))
    return names if option.is_flag else f"{names} {option.metavar or option.type.name.upper()}"


def metavar(argument: Any) -> str:
    """How usage shows an argument."""
    name = argument.metavar or argument.name.upper()
    several = "..." if argument.nargs == -1 else ""
    return f"{name}{several}" if argument.required else f"[{name}]{several}"
