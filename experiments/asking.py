"""From the options of `prism-bench run` to checked requests, device and workers."""

import os
from dataclasses import dataclass, fields
from pathlib import Path

from rich.console import Console

from experiments.catalog import Experiment
from experiments.plan import Plan, Request, Source
from experiments.scales import scale_named
from experiments.sources import named_dataset, open_dataset, open_files
from prism.component import member, with_setting
from prism.data.split import Split
from prism.errors import InputError, closest
from prism.runtime import Runtime
from prism.store import Store
from prism.variant import Scale, Variant


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


def requests_of(options: RunOptions, store: Store, console: Console) -> list[Request]:
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
        inner = f"method.{path}" if inside_method else path
        changed = with_setting(scale, inner, text, said=f"--set {setting}")
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
        resolution = options.resolution or scale.dataset.resolution
        return open_files(options.data, resolution=resolution, skip_bad=options.skip_bad, store=store, console=console)
    return open_dataset(named_dataset(options.dataset, scale.dataset, options.resolution), store, console)


def resources(options: RunOptions, plan: Plan) -> tuple[Runtime, int]:
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
