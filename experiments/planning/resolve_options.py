"""From the options of `prism-bench run` to checked requests, device and workers."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeGuard

from prism_bench.baselines.rissole.first_stage.first_stage_file import FILES, FirstStageFile
from prism_bench.baselines.rissole.first_stage.vqgan import VQGAN
from prism_bench.baselines.rissole.presets import rissole_of
from prism_bench.experiments.data.open_data import open_data
from prism_bench.experiments.data.source import Source
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.paper.experiment import Experiment, Row, merged_rows
from prism_bench.experiments.paper.names import NUMBERED, PAPER_ORDER
from prism_bench.experiments.paper.published import TITLES
from prism_bench.experiments.paper.scales import scale_named
from prism_bench.experiments.planning.metric_names import with_metrics
from prism_bench.experiments.planning.request import Request
from prism_bench.prism.component import member, with_setting
from prism_bench.prism.data.split import Split
from prism_bench.prism.encoders.base import Encoder
from prism_bench.prism.encoders.clip import CLIP
from prism_bench.prism.encoders.clip_files import take
from prism_bench.prism.engine.runtime import Runtime, usable_cores
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.variants.variant import Scale, Variant
from rich.console import Console


def requests_of(options: RunOptions, store: Store, console: Console) -> list[Request]:
    """One request per experiment; at a scale with a size for each of the paper's datasets, one per dataset of it.

    Raises:
        InputError: an unknown name, a setting that does not fit or changes nothing, or bad data.
    """
    asked = [_Asked(options, experiment) for experiment in _experiments(options.experiments)]
    parts = [(one, panel) for one in asked for panel in one.panels()]
    if not parts:
        names = ", ".join(dict.fromkeys(panel for one in asked for panel in one.experiment.panels))
        raise InputError(f"--dataset {options.dataset}: nothing that was asked for uses it; it uses {names}")
    scales = {panel: _with_settings(options, panel, parts) for _, panel in parts}
    sources = _Sources(options, store, console)
    return [one.request(panel, scales[panel], sources.on(panel, scales[panel])) for one, panel in parts]


@dataclass(frozen=True)
class _Asked:
    """One experiment of the command line."""

    options: RunOptions
    experiment: Experiment

    def panels(self) -> tuple[str, ...]:
        """The panels to be computed apart; "" where the scale is one for all data."""
        scales = scale_named(self.options.scale)
        if scales.whole is not None:
            return ("",)
        chosen = self.options.dataset
        return tuple(panel for panel in self.experiment.panels if chosen in {None, panel})

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """The experiment's rows, its controls where asked for, and the rows of `--with`."""
        panels = (panel,) if panel else self.experiment.panels
        rows = {row.id: row for row in merged_rows(self.experiment, panels, scale)}
        if self.options.controls:
            rows |= {row.id: row for row in self.experiment.controls() if row.id not in rows}
        for extra in self.options.extra:
            variant = extra if isinstance(extra, Variant) else variant_called(extra)
            rows.setdefault(variant.name, Row.of(variant))
        return tuple(rows.values())

    def rows_on(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """The same, those declined that cannot be."""
        return tuple(row.if_applies(scale) for row in self.rows(panel, scale))

    def request(self, panel: str, scale: Scale, source: Source) -> Request:
        """Rows, claims, data and split."""
        options, panels = self.options, (panel,) if panel else self.experiment.panels
        # From here on the scale is that of the images at hand: a budget counts operations at their resolution.
        scale = scale.replace(dataset=source.stage.dataset)
        claims = {claim.id: claim for at in reversed(panels) for claim in self.experiment.claims(at, scale)}
        fraction = options.retrieval_fraction
        if fraction is None:
            fraction = source.stage.dataset.retrieval_fraction
        return Request(
            experiment=self.experiment,
            rows=self.rows_on(panel, scale),
            claims=tuple(claims.values()),
            scale=scale,
            scale_name=options.scale,
            source=source,
            split=Split(retrieval_fraction=fraction, seed=options.split_seed, by_class=options.stratify),
            seeds=options.seeds,
            panel=TITLES.get(panel, panel),
            settings=options.settings,
            only=options.only,
            command=options.command,
        )


def _experiments(asked: tuple[str | Experiment, ...]) -> list[Experiment]:
    """The experiments called so; `all` is the whole paper, and a table's number stands for its name."""
    wanted: list[Experiment] = []
    for one in asked:
        if isinstance(one, Experiment):
            wanted.append(one)
        else:
            wanted += [_experiment(name) for name in (PAPER_ORDER if one == "all" else [NUMBERED.get(one, one)])]
    return list(dict.fromkeys(wanted))


def variant_called(name: str) -> Variant:
    """The variant of that name; InputError with the closest names otherwise."""
    found = member("variant", name)()
    if not isinstance(found, Variant):
        raise InputError(f"variant {name} does not subclass prism_bench.prism.variants.variant.Variant")
    return found


def _experiment(name: str) -> Experiment:
    found = member("experiment", name)()
    if not isinstance(found, Experiment):
        raise InputError(f"experiment {name} does not subclass prism_bench.experiments.paper.experiment.Experiment")
    return found


def _with_settings(options: RunOptions, panel: str, parts: Sequence[tuple[_Asked, str]]) -> Scale:
    """The panel's scale with every `--set path=value` applied; a path may start at the scale or at its method.

    Raises:
        InputError: malformed, unknown, of the wrong type, or without effect on any row.
    """
    scale = scale_named(options.scale).on(panel)
    for setting in options.settings:
        changed = apply_setting(scale, setting)
        own = [one for one, at in parts if at == panel]
        if changed != scale and _effect(changed, own, panel) == _effect(scale, own, panel):
            raise InputError(
                f"--set {setting} changes none of the rows: their variants choose schedule, aggregator and "
                "training set themselves; use k_max, fixed_k or k_sample, or a variant of your own (--plugin, --with)"
            )
        scale = changed
    _check_rampups(scale)
    scale = scale.replace(metrics=with_metrics(scale.metrics, options.metrics, scale.samples))
    if options.first_stage is not None:
        scale = _with_first_stage(scale, options.first_stage)
    return scale if options.clip_weights is None else with_clip_weights(scale, options.clip_weights)


def _check_rampups(scale: Scale) -> None:
    """Raise InputError where a training that is set here ends before its ramp-up; a budget sets RISSOLE's otherwise."""
    scale.method.training.check_rampup("training")
    if scale.rissole is not None and scale.rissole.budget == "own":
        method = rissole_of(scale.rissole.method)
        method.training.check_rampup("rissole.method.training")
        if isinstance(method.first_stage, VQGAN):
            method.first_stage.training.check_rampup("rissole.method.first_stage.training")


def _with_first_stage(scale: Scale, path: Path) -> Scale:
    """The scale with a first stage of RISSOLE's that was trained before."""
    if scale.rissole is None:
        raise InputError(f"--first-stage {path}: this scale has no RISSOLE; leave it out")
    method = rissole_of(scale.rissole.method)
    own = FirstStageFile(file=FILES.take(path), training_set=method.training_set)
    own.own()
    return scale.replace(rissole=scale.rissole.replace(method=method.replace(first_stage=own)))


def with_clip_weights(scale: Scale, path: Path) -> Scale:
    """The scale with a file of CLIP weights in place of those by tag, wherever it looks through that CLIP.

    That is the CLIP it retrieves with, or the default one where it retrieves with another encoder.

    Raises:
        InputError: no such file, or nothing that looks through that CLIP.
    """
    retrieval = scale.method.retrieval
    model = (retrieval.encoder if isinstance(retrieval.encoder, CLIP) else CLIP()).model

    def fits(encoder: Encoder | None) -> TypeGuard[CLIP]:
        return isinstance(encoder, CLIP) and encoder.model == model

    if not any(fits(encoder) for encoder in (retrieval.encoder, *(metric.encoder for metric in scale.metrics))):
        raise InputError(
            f"--clip-weights {path}: nothing here looks through CLIP {model}; add --set retrieval.encoder=clip, or a "
            "metric such as --metrics frechet:clip"
        )
    name = take(path)
    metrics = tuple(
        metric.replace(encoder=metric.encoder.replace(pretrained=name)) if fits(metric.encoder) else metric
        for metric in scale.metrics
    )
    if fits(retrieval.encoder):
        retrieval = retrieval.replace(encoder=retrieval.encoder.replace(pretrained=name))
    return scale.replace(metrics=metrics, method=scale.method.replace(retrieval=retrieval))


def apply_setting(scale: Scale, setting: str) -> Scale:
    """The scale with one `path=value` applied; InputError where it is malformed, unknown or of the wrong type."""
    path, equals, text = setting.partition("=")
    if not equals:
        raise InputError(f"--set {setting!r} is not of the form path=value, for example training.images=50000")
    head = path.partition(".")[0]
    own, inside = ([field.name for field in fields(value)] for value in (scale, scale.method))
    if head not in (*own, *inside):
        raise InputError(f"--set {setting}: there is nothing called {head!r}; {closest(head, [*own, *inside])}")
    inner = path if head in own else f"method.{path}"
    changed = with_setting(scale, inner, text, said=f"--set {setting}")
    if not isinstance(changed, Scale):
        raise InputError(f"--set {setting}: not a setting of a scale")
    return changed


def _effect(scale: Scale, asked: Sequence[_Asked], panel: str) -> tuple[object, ...]:
    rows = tuple(
        (row.variant.method(scale), row.variant.sampler(scale), row.k_sample or row.variant.k_sample(scale))
        for one in asked
        for row in one.rows_on(panel, scale)
        if row.variant is not None
    )
    return (rows, scale.sampler, scale.metrics, scale.samples, scale.dataset)


class _Sources:
    """The data of each panel, opened once. `--data PATH` serves a scale of one, `--data NAME=PATH` the paper's sets."""

    def __init__(self, options: RunOptions, store: Store, console: Console) -> None:
        self.options, self.store, self.console = options, store, console
        self.given = dict(self._split(text) for text in options.data)
        self.opened: dict[str, Source] = {}

    def _split(self, text: str) -> tuple[str, Path]:
        name, equals, path = text.partition("=")
        several = scale_named(self.options.scale).whole is None
        if equals and name in TITLES:
            if not several:
                raise InputError(
                    f"--data {text}: at scale {self.options.scale} all rows share one set; give --data PATH"
                )
            return name, Path(path)
        if several:
            raise InputError(
                f"--data {text}: scale {self.options.scale} runs on {', '.join(TITLES)}; say which of them these "
                f"pictures are: --data celeba={text}"
            )
        return "", Path(text)

    def on(self, panel: str, scale: Scale) -> Source:
        """The panel's data: the user's files, or the named dataset."""
        if panel not in self.opened:
            self.opened[panel] = self._open(panel, scale)
        return self.opened[panel]

    def _open(self, panel: str, scale: Scale) -> Source:
        return open_data(
            self.given.get(panel),
            None if panel else self.options.dataset,
            scale.dataset,
            resolution=self.options.resolution,
            skip_bad=self.options.skip_bad,
            store=self.store,
            console=self.console,
        )


def resources(options: RunOptions, trainings: int) -> tuple[Runtime, int]:
    """Device, workers and threads. Threads depend on the plan, never on what is cached: same command, same bits."""
    device = device_called(options.device)
    cores = usable_cores()
    workers = options.workers
    if workers is None:
        workers = max(1, min(cores, trainings)) if device == "cpu" else 1
    threads = max(1, cores // max(1, workers))
    return Runtime(device=device, threads=threads, checkpoint_seconds=options.checkpoint_seconds), workers


def device_called(name: str) -> str:
    """A device that torch can use here; auto: a GPU where there is one. InputError otherwise."""
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
