"""The commands that look: `list`, `ui`, `sync`."""

import subprocess
from pathlib import Path

import typer
from prism_bench.experiments.mlflow_view.sync import sync
from prism_bench.experiments.mlflow_view.tracker import Tracker
from prism_bench.experiments.paper.scales import SCALES
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


def open_ui(store: Path, port: int) -> int:
    """Serve MLflow on the store until interrupted."""
    if not (store / "records").is_dir():
        raise InputError(f"there is no store at {store}; run an experiment first, or name its store with --store")
    tracker = Tracker.open(store.absolute(), typer.echo)
    typer.echo(f"MLflow at http://127.0.0.1:{port} (Ctrl-C ends it)")
    try:
        return subprocess.call(tracker.ui_command(port))
    except KeyboardInterrupt:
        return 0


def sync_store(store: Path) -> None:
    """Rebuild the MLflow view."""
    if not (store / "records").is_dir():
        raise InputError(f"there is no store at {store}; name one with --store")
    count = sync(store.absolute(), typer.echo)
    typer.echo(
        f"MLflow shows {count.cells} cells of {count.plans} plans; this sync added {count.runs_added} runs and "
        f"{count.points_added} points of curves."
    )
