"""The commands that look: `list`, `ui`, `sync`."""

from collections.abc import Callable
from pathlib import Path

from prism_bench.experiments.mlflow_view.connection import ui_command as mlflow_ui_command
from prism_bench.experiments.mlflow_view.sync import SyncCount, sync
from prism_bench.experiments.mlflow_view.tracker import Tracker
from prism_bench.experiments.paper.scales import SCALES
from prism_bench.experiments.store.inventory import check_store
from prism_bench.prism.component import Component, load, load_members
from prism_bench.prism.errors import InputError, closest


def list_members(family: str | None, plugins: tuple[Path, ...]) -> list[str]:
    """Lines for `prism-bench list`."""
    load_members()
    load(plugins)
    families = {
        name: members for name, members in Component.members.items() if len(members) > 1 or name == "experiment"
    }
    singular = {f"{name}s": name for name in (*families, "scale")}
    family = singular.get(family or "", family)
    if family == "scale":
        return [f"{name:<24}{scales.summary}" for name, scales in SCALES.items()]
    if family is not None:
        if family not in families:
            raise InputError(f"there is no family {family!r}; {closest(family, [*families, 'scale'])}")
        return [f"{name:<24}{kind.summary()}" for name, kind in sorted(families[family].items())]
    lines = []
    for name in [*sorted(families), "scale"]:
        names = SCALES if name == "scale" else families[name]
        lines.append(f"{name:<14}{', '.join(sorted(names))}")
    return [*lines, "", "`prism-bench list FAMILY` says what each is."]


def ui_command(store: Path, port: int, say: Callable[[str], None]) -> list[str]:
    """The command that serves MLflow on a store, once its view is up to date.

    Raises:
        InputError: there is no store.
    """
    check_store(store)
    Tracker.open(store.absolute(), say)
    return mlflow_ui_command(store.absolute(), port)


def sync_store(store: Path, say: Callable[[str], None]) -> SyncCount:
    """Rebuild the MLflow view.

    Raises:
        InputError: there is no store.
    """
    check_store(store, "name one with --store")
    return sync(store.absolute(), say)
