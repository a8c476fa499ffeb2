"""The commands that look: `list`, `sync`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.experiments.options.sources import Sources
from prism_bench.experiments.paper.names import SCALES_FOR
from prism_bench.prism.component import Component, load, load_members, registered_packages
from prism_bench.prism.errors import InputError, closest

if TYPE_CHECKING:
    from prism_bench.experiments.mlflow_view.sync import SyncCount


def list_members(family: str | None, plugins: tuple[Path, ...]) -> dict[str, dict[str, str]]:
    """Every family, or the one that is named, as member -> what it is; scales are one.

    Raises:
        InputError: there is no such family.
    """
    families = {
        name: dict(sorted(members.items()))
        for name, members in sorted(_members(plugins).items())
        if len(members) > 1 or name == "experiment"
    }
    families["scale"] = SCALES_FOR
    if family is None:
        return families
    singular = {f"{name}s": name for name in families}.get(family, family)
    if singular not in families:
        raise InputError(f"there is no family {family!r}; {closest(family, families)}")
    return {singular: families[singular]}


def _members(plugins: tuple[Path, ...]) -> dict[str, dict[str, str]]:
    """The members of each family. Ours are as their text declares them, which spares importing them; others' code may
    make its classes as it likes.
    """
    if not plugins and all(package.startswith("prism_bench.") for package in registered_packages()):
        return Sources.of().summaries
    load_members()
    load(plugins)
    return {
        family: {name: kind.summary() for name, kind in members.items()}
        for family, members in Component.members.items()
    }


def lines_of(families: dict[str, dict[str, str]]) -> list[str]:
    """The members of one family with a line on each, or the names of all of several."""
    if len(families) == 1:
        return [f"{name:<24}{summary}" for members in families.values() for name, summary in members.items()]
    lines = [f"{name:<14}{', '.join(sorted(members))}" for name, members in families.items()]
    return [*lines, "", "`prism-bench list FAMILY` says what each is."]


def sync_store(store: Path, say: Callable[[str], None]) -> "SyncCount":
    """Rebuild the MLflow view.

    Raises:
        InputError: there is no store.
    """
    from prism_bench.experiments.mlflow_view.sync import sync
    from prism_bench.experiments.store.inventory import check_store

    check_store(store, "name one with --store")
    return sync(store.absolute(), say)
