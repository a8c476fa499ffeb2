"""What the commands do, below parsing: from options to plan, from plan to run, from run to table."""

import contextlib
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console

from experiments.catalog import Experiment
from experiments.display import Display, duration
from experiments.estimate import estimate, megabytes
from experiments.pictures import write_figures, write_pictures
from experiments.plan import Plan, Request, Source, compile_plan
from experiments.reporting import report_folder, table_text, write_tables
from experiments.runner import Run, Survey, survey, write_plan
from experiments.scales import SCALES, scale_named
from experiments.sources import named_dataset, open_dataset, open_files
from experiments.tracking import Tracker, sync
from experiments.view import MlflowView
from experiments.workers import Pool, prepare_process
from prism.component import Component, load_members, load_plugin, member, with_setting
from prism.data.split import Split
from prism.errors import InputError, closest
from prism.runtime import Runtime
from prism.stages.base import explain
from prism.store import Store
from prism.variant import Scale, Variant

Outcome = Literal["FINISHED", "FAILED", "KILLED"]
DEFAULT_RESOLUTION = 16
SHOWN_REASONS = 8
"""Lines about why something is computed anew; the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `prism-bench run`, parsed but not yet checked against each other."""

    experiments: tuple[str, ...]
    scale: str
    data: Path | None
    dataset: str | None
    resolution: int | None
    seeds: tuple[int, ...]
    split_seed: int
    retrieval_fraction: float | None
    stratify: bool
    skip_bad: bool
    extra: tuple[str, ...]
    only: tuple[tuple[str, str], ...]
    settings: tuple[str, ...]
    dry_run: bool
    workers: int | None
    device: str
    checkpoint_seconds: float
    mlflow: bool
    store: Path
    plugins: tuple[Path, ...]
    command: str


def run_experiments(options: RunOptions) -> int:
    """Plan, compute what is missing, and print each table; 0, or 1 where a cell failed."""
    console = Console(highlight=False, soft_wrap=True)
    store = Store.create(options.store)
    load_members()
    for plugin in options.plugins:
        load_plugin(plugin)
    plans = [compile_plan(request) for request in _requests(options, store, console)]
    failed = False
    for plan in plans:
        for warning in plan.warnings():
            console.print(f"note: {warning}", markup=False)
        runtime, workers = _resources(options, plan)
        found = survey(plan, store)
        _announce(plan, found, store, console)
        if options.dry_run:
            _dry_run(plan, found, runtime, workers, console)
        else:
            failed |= not _execute(plan, found, store, runtime, workers, options, console)
    return 1 if failed else 0


def _requests(options: RunOptions, store: Store, console: Console) -> list[Request]:
    """One request per experiment, all on the same data."""
    kinds = [_experiment(name) for name in options.experiments]
    extra = tuple(_variant(name) for name in options.extra)
    base = scale_named(options.scale)
    source: Source | None = None
    requests = []
    for experiment in kinds:
        variants = tuple(dict.fromkeys((*map(_variant, experiment.variants), *extra)))
        scale = _with_settings(base, options.settings, variants)
        if source is None:
            source = _source(options, scale, store, console)
        fraction = options.retrieval_fraction
        if fraction is None:
            fraction = source.stage.dataset.retrieval_fraction
        split = Split(retrieval_fraction=fraction, seed=options.split_seed, by_class=options.stratify)
        requests.append(
            Request(
                experiment=experiment,
                variants=variants,
                scale=scale,
                scale_name=options.scale,
                source=source,
                split=split,
                seeds=options.seeds,
                settings=options.settings,
                only=options.only,
                command=options.command,
            )
        )
    return requests


def _variant(name: str) -> Variant:
    found = member("variant", name)()
    if not isinstance(found, Variant):
        raise InputError(f"variant {name} does not subclass prism.variant.Variant")
    return found


def _experiment(name: str) -> Experiment:
    found = member("experiment", name)()
    if not isinstance(found, Experiment):
        raise InputError(f"experiment {name} does not subclass experiments.catalog.Experiment")
    return found


def _with_settings(scale: Scale, settings: tuple[str, ...], variants: tuple[Variant, ...]) -> Scale:
    """The scale with every `--set path=value` applied; a path may start at the scale or at its method.

    Raises:
        InputError: malformed, unknown, of the wrong type, or without effect on any row.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting!r} is not of the form path=value, for example training.images=50000")
        head = path.partition(".")[0]
        inside_method = not hasattr(scale, head) and hasattr(scale.method, head)
        if not inside_method and not hasattr(scale, head):
            names = [field.name for value in (scale, scale.method) for field in fields(value)]
            raise InputError(f"--set {setting}: there is nothing called {head!r}; {closest(head, names)}")
        changed = with_setting(scale, f"method.{path}" if inside_method else path, text)
        if not isinstance(changed, Scale):
            raise InputError(f"--set {setting}: not a setting of a scale")
        if changed != scale and _effect(changed, variants) == _effect(scale, variants):
            raise InputError(
                f"--set {setting} changes none of the rows: their variants choose schedule, aggregator and "
                "training set themselves; use k_max, fixed_k or k_sample, or a variant of your own (--plugin, --with)"
            )
        scale = changed
    return scale


def _effect(scale: Scale, variants: tuple[Variant, ...]) -> tuple[object, ...]:
    rows = tuple((variant.method(scale), variant.k_sample(scale)) for variant in variants)
    return (rows, scale.sampler, scale.metrics, scale.samples, scale.dataset)


def _source(options: RunOptions, scale: Scale, store: Store, console: Console) -> Source:
    if options.data is not None:
        if options.dataset is not None:
            raise InputError(f"--data {options.data} and --dataset {options.dataset} exclude each other; give one")
        resolution = options.resolution or DEFAULT_RESOLUTION
        return open_files(options.data, resolution=resolution, skip_bad=options.skip_bad, store=store, console=console)
    return open_dataset(named_dataset(options.dataset, scale.dataset, options.resolution), store, console)


def _resources(options: RunOptions, plan: Plan) -> tuple[Runtime, int]:
    """Device, workers and threads. Threads depend on the plan, never on what is cached: same command, same bits."""
    device = _device(options.device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = options.workers
    if workers is None:
        workers = max(1, min(cores, plan.trainings)) if device == "cpu" else 1
    threads = max(1, cores // max(1, workers))
    return Runtime(device=device, threads=threads, checkpoint_seconds=options.checkpoint_seconds), workers


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.partition(":")[0]
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in available:
        raise InputError(f"--device {name}: {closest(kind, [*available, 'auto'])}")
    if not available[kind]:
        raise InputError(
            f"--device {name}: this machine has no such device that torch can use; use --device auto or cpu"
        )
    return name


def _announce(plan: Plan, found: Survey, store: Store, console: Console) -> None:
    """What will be done and why."""
    data, request = plan.document["dataset"], plan.request
    seeds = ", ".join(map(str, request.seeds))
    console.print(
        f"{request.experiment.name}: {request.experiment.title}\n"
        f"  scale {request.scale_name}; {data['label']} {data['resolution']}x{data['resolution']}, "
        f"{data['images']:,} images: D {data['retrieval']:,}, X_train {data['train']:,}; seeds {seeds}",
        markup=False,
    )
    for fault in found.faults.values():
        console.print(f"  {fault}", markup=False)
    console.print(
        f"  {len(plan.cells)} cells · {plan.trainings} trainings · {len(plan.stages)} stages: "
        f"{len(plan.stages) - len(found.todo)} cached or not needed, {len(found.todo)} to do",
        markup=False,
    )
    if store.manifests("training"):
        reasons = [
            f"  {stage.title}: {explain(stage, store)}"
            for stage in found.todo.values()
            if stage.kind in {"training", "embeddings", "dataset", "split"} and str(stage.address) not in found.faults
        ]
        for line in reasons[:SHOWN_REASONS]:
            console.print(line, markup=False)
        if len(reasons) > SHOWN_REASONS:
            console.print(f"  ... and {len(reasons) - SHOWN_REASONS} more", markup=False)


def _dry_run(plan: Plan, found: Survey, runtime: Runtime, workers: int, console: Console) -> None:
    for cell in plan.cells:
        left = sum(str(stage.address) in found.todo for stage in cell.targets)
        state = "cached" if not left else f"{left} of {len(cell.targets)} results to do"
        console.print(f"    {cell.label}, seed {cell.seed}, k_sample {cell.samples.k_sample}: {state}", markup=False)
    counts = Counter(stage.kind for stage in found.todo.values())
    for kind, count in counts.items():
        console.print(f"    {count} x {kind} to do", markup=False)
    prepare_process(runtime)
    guess = estimate(plan, found.todo, runtime)
    console.print(
        f"  estimate from a short probe: {duration(guess.wall(workers))} on {max(workers, 1)} workers of "
        f"{runtime.threads} threads ({duration(sum(guess.seconds.values()))} of one worker), {megabytes(guess.disk)} "
        "of disk while it runs",
        markup=False,
    )


def _execute(
    plan: Plan, found: Survey, store: Store, runtime: Runtime, workers: int, options: RunOptions, console: Console
) -> bool:
    """Compute, write tables and pictures, print them; True where every cell has its numbers."""
    write_plan(plan, store)
    tracker = (Tracker.open if options.mlflow else Tracker)(store.root, lambda text: console.print(text, markup=False))
    tracker.begin(plan.document)
    view = MlflowView(tracker, plan, store)
    folder = report_folder(plan.document, store.root)
    outcome: Outcome = "KILLED"
    pictures: dict[str, Path] = {}
    files: list[Path] = []
    try:
        with (
            _interruptible(),
            Pool(store, runtime, workers, options.plugins) as pool,
            Display(len(found.todo), workers, console) as display,
        ):
            display.expect(Counter(stage.kind for stage in found.todo.values()))
            work = Run(plan, store, pool, (display, view), found.todo)
            work.execute()
        ok = all(record["status"] == "done" for record in work.records.values())
        outcome = "FINISHED" if ok else "FAILED"
        pictures = {**write_pictures(plan, store, folder), **write_figures(plan, store, folder)}
        files = write_tables(plan.document, store.root, folder, ("latex", "markdown", "csv"))
        view.finish_cells(work.records, pictures)
    except KeyboardInterrupt:
        console.print("\nStopped. What was computed is kept; the same command goes on from here.", markup=False)
        raise typer.Exit(130) from None
    finally:
        tracker.finish(outcome, {path.name: path for path in (*pictures.values(), *files)})
    _conclude(plan, store, folder, console, failed=not ok)
    return ok


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """A polite kill (SIGTERM, as batch systems send) is treated as Ctrl-C: workers save, MLflow is told."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _conclude(plan: Plan, store: Store, folder: Path, console: Console, *, failed: bool) -> None:
    console.print()
    console.print(table_text(plan.document, store.root, console.width), markup=False, soft_wrap=True)
    console.print(f"\nPictures and tables: {folder}", markup=False)
    for path in sorted(folder.iterdir()):
        console.print(f"  {path.name}", markup=False)
    if failed:
        console.print(
            "Some cells failed; the reasons stand in the table. The same command tries them again.", markup=False
        )
    option = "" if store.root == Path("prism-bench-store").absolute() else f" --store {store.root}"
    console.print(f"Compare the runs: prism-bench ui{option}", markup=False)


def list_members(family: str | None, plugins: tuple[Path, ...]) -> list[str]:
    """Lines for `prism-bench list`."""
    load_members()
    for plugin in plugins:
        load_plugin(plugin)
    families = {
        name: members for name, members in Component.members.items() if len(members) > 1 or name == "experiment"
    }
    singular = {f"{name}s": name for name in (*families, "scale")}
    family = singular.get(family or "", family)
    if family == "scale":
        return [f"{name:<24}{summary}" for name, (_, summary) in SCALES.items()]
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
    typer.echo(f"MLflow now shows: {count}")
