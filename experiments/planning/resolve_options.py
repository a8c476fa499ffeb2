"""From the options of `prism-bench run` to checked requests, device and workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from rich.console import Console

from prism_bench.baselines.systems import OtherSystems, System
from prism_bench.experiments.data.open_data import dataset_meant, fit_called, open_data
from prism_bench.experiments.data.source import ImageSource
from prism_bench.experiments.options.option import at_home
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.paper.experiment import Experiment, Row, merged_rows
from prism_bench.experiments.paper.names import NUMBERED, PAPER_ORDER
from prism_bench.experiments.paper.published import TITLES
from prism_bench.experiments.paper.scales import scale_named
from prism_bench.experiments.planning.metric_names import with_metrics
from prism_bench.experiments.planning.request import Entry, Request
from prism_bench.experiments.planning.settings import apply_setting
from prism_bench.prism.data.split import Split
from prism_bench.prism.encoders.base import Encoder
from prism_bench.prism.encoders.clip import CLIP
from prism_bench.prism.encoders.clip_files import take
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.executors.compiler import check_compiler
from prism_bench.prism.executors.executor import Resources
from prism_bench.prism.methods.method import Method
from prism_bench.prism.stages.data import SplitStage
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant


def requests_of(options: RunOptions, store: Store, console: Console) -> list[Request]:
    """One request per experiment; at a scale with a size for each of the paper's datasets, one per dataset of it.

    Raises:
        InputError: an unknown name, a setting that does not fit or changes nothing, or bad data.
    """
    chosen = _experiments(options)
    parts = [(choice, panel) for choice in chosen for panel in choice.panels()]
    if not parts:
        names = ", ".join(dict.fromkeys(panel for choice in chosen for panel in choice.experiment.panels))
        raise InputError(f"--dataset {options.dataset}: nothing that was asked for uses it; it uses {names}")
    scales = {panel: _with_settings(options, panel, parts) for panel in dict.fromkeys(panel for _, panel in parts)}
    files = _files(options)
    for panel, scale in scales.items():
        dataset = dataset_meant(files.get(panel), None if panel else options.dataset, scale.dataset, options.resolution)
        _check_resolution(scale.replace(dataset=dataset), [choice for choice, at in parts if at == panel], panel)
    sources = {
        panel: open_data(
            files.get(panel),
            None if panel else options.dataset,
            scale.dataset,
            resolution=options.resolution,
            skip_bad=options.skip_bad,
            fit=fit_called(options.fit, files=bool(options.data)),
            store=store,
            console=console,
        )
        for panel, scale in scales.items()
    }
    return [choice.request(panel, scales[panel], sources[panel]) for choice, panel in parts]


def _files(options: RunOptions) -> dict[str, Path]:
    """Every `--data` by its panel; InputError where a panel has two."""
    files: dict[str, Path] = {}
    for text in options.data:
        panel, path = _panel_of_files(options, text)
        if panel in files:
            raise InputError(f"--data {files[panel]} and --data {path} are for the same rows; give one of them")
        files[panel] = path
    return files


def _panel_of_files(options: RunOptions, text: str) -> tuple[str, Path]:
    """Which panel a `--data` is for: PATH serves a scale of one set, NAME=PATH the paper's sets."""
    name, equals, path = text.partition("=")
    several = scale_named(options.scale).whole is None
    if equals and name in TITLES:
        if not several:
            raise InputError(f"--data {text}: at scale {options.scale} all rows share one set; give --data PATH")
        return name, at_home(path)
    if several:
        raise InputError(
            f"--data {text}: scale {options.scale} runs on {', '.join(TITLES)}; say which of them these "
            f"pictures are: --data celeba={text}"
        )
    return "", at_home(text)


@dataclass(frozen=True)
class _Chosen:
    """One experiment of the command line. named: it was given by its name, so that the scale says its settings."""

    options: RunOptions
    experiment: Experiment
    named: bool

    def at(self, scale: Scale) -> Experiment:
        """The experiment at a scale."""
        return scale.part(self.experiment) if self.named else self.experiment

    def panels(self) -> tuple[str, ...]:
        """The panels to be computed apart; "" where the scale is one for all data."""
        if scale_named(self.options.scale).whole is not None:
            return ("",)
        return tuple(panel for panel in self.experiment.panels if self.options.dataset in {None, panel})

    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """The experiment's rows, its controls where asked for, and those of `--with`; declined where they cannot be."""
        panels = (panel,) if panel else self.experiment.panels
        rows = {row.id: row for row in merged_rows(self.at(scale), panels, scale)}
        if self.options.controls:
            rows |= {row.id: row for row in self.at(scale).controls() if row.id not in rows}
        for extra in self.options.extra:
            variant = extra if isinstance(extra, Variant) else Variant.called(extra)
            rows.setdefault(variant.name, Row.of(variant))
        return tuple(row.if_applies(scale) for row in rows.values())

    def request(self, panel: str, scale: Scale, source: ImageSource) -> Request:
        """Rows, claims, data and split."""
        options, dataset = self.options, source.stage.dataset
        # From here on the scale is that of the images at hand: a budget counts operations at their resolution.
        scale = scale.replace(dataset=dataset)
        experiment = self.at(scale)
        panels = (panel,) if panel else experiment.panels
        claims = {claim.id: claim for each in reversed(panels) for claim in experiment.claims(each, scale)}
        fraction = dataset.retrieval_fraction if options.retrieval_fraction is None else options.retrieval_fraction
        split = Split(retrieval_fraction=fraction, seed=options.split_seed, by_class=options.stratify)
        return Request(
            options=options,
            experiment=experiment,
            rows=self.rows(panel, scale),
            claims=tuple(claims.values()),
            scale=scale,
            source=source,
            split=SplitStage(data=source.stage, split=split, label=source.title),
            panel=TITLES.get(panel, panel),
        )


def _experiments(options: RunOptions) -> list[_Chosen]:
    """The experiments called so; `all` is the whole paper, and a table's number stands for its name."""
    chosen: list[_Chosen] = []
    for choice in options.experiments:
        if isinstance(choice, Experiment):
            chosen.append(_Chosen(options, choice, named=False))
        else:
            names = PAPER_ORDER if choice == "all" else [NUMBERED.get(choice, choice)]
            chosen += [_Chosen(options, Experiment.called(name), named=True) for name in names]
    return list(dict.fromkeys(chosen))


def _check_resolution(scale: Scale, chosen: Sequence[_Chosen], panel: str) -> None:
    """Refuse a resolution that a row cannot have, and name those beside it that all rows can, before data are read."""
    rows = (row for choice in chosen for row in choice.rows(panel, scale) if row.variant is not None)
    methods = list(dict.fromkeys(each for row in rows for each in _trained(Entry.of(row, scale).method)))

    def fits(side: int) -> bool:
        try:
            changed = scale.dataset.replace(resolution=side)
            for method in methods:
                method.check(changed.resolution)
        except InputError:
            return False
        return True

    side = scale.dataset.resolution
    try:
        for method in methods:
            method.check(side)
    except InputError as error:
        around = (range(side - 1, 0, -1), range(side + 1, 2 * side))
        near = [next(filter(fits, sides), None) for sides in around]
        known = " or ".join(f"--resolution {one}" for one in near if one is not None)
        raise InputError(f"{error}; every row can have {known}" if known else str(error)) from None


def _trained(method: Method | None) -> Iterator[Method]:
    """A method and those that are trained before it."""
    while method is not None:
        yield method
        method = method.first


def _with_settings(options: RunOptions, panel: str, parts: Sequence[tuple[_Chosen, str]]) -> Scale:
    """The panel's scale with every `--set path=value` applied.

    Raises:
        InputError: malformed, unknown, of the wrong type, or without effect on any row.
    """
    scale = scale_named(options.scale).on(panel)
    chosen = [choice for choice, at in parts if at == panel]
    for choice in chosen:
        if choice.named:
            scale = scale.with_part(choice.at(scale))
    for setting in options.settings:
        changed = apply_setting(scale, setting)
        if changed != scale and _effect(changed, chosen, panel) == _effect(scale, chosen, panel):
            raise InputError(
                f"--set {setting} changes none of the rows: their variants choose schedule, aggregator and training "
                "set themselves, and some look at no neighbours; use k_max, fixed_k or k_sample where rows have "
                "neighbours, or a variant of your own (--plugin, --with)"
            )
        scale = changed
    _check_rampups(scale)
    scale = _in_pieces(scale, options.processes)
    scale = scale.replace(metrics=with_metrics(scale.metrics, options.metrics, scale.samples))
    if options.first_stage is not None:
        from prism_bench.baselines.rissole.rows import with_first_stage

        scale = with_first_stage(scale, options.first_stage)
    return scale if options.clip_weights is None else with_clip_weights(scale, options.clip_weights)


def _in_pieces(scale: Scale, processes: int) -> Scale:
    """The scale with trainings that so many processes can share; InputError where they cannot."""
    if processes & (processes - 1):
        raise InputError(f"--processes {processes}: gradients are added up in a binary tree; use 2, 4, 8 ... (or 1)")
    training = scale.method.training
    if training.pieces % processes == 0:
        return scale
    if training.pieces > 1:
        raise InputError(
            f"--processes {processes} does not divide training.pieces = {training.pieces}; use fewer processes"
        )
    return scale.replace(method=scale.method.replace(training=training.replace(pieces=processes)))


def _check_rampups(scale: Scale) -> None:
    """Raise InputError where a training that is set here ends before its ramp-up.

    The shipped presets of RISSOLE are long enough, and a budget sets the length of others.
    """
    scale.method.training.check_rampup("training")
    rissole = scale.part(OtherSystems()).rissole
    if isinstance(rissole, System) and rissole.budget == "own":
        from prism_bench.baselines.rissole.rows import check_rampups

        check_rampups(rissole.method)


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


def _effect(scale: Scale, chosen: Sequence[_Chosen], panel: str) -> tuple[object, ...]:
    rows = tuple(
        (entry.method, entry.sampler, entry.k_samples if entry.method.guided else ())
        for choice in chosen
        for row in choice.rows(panel, scale)
        if row.variant is not None
        for entry in (Entry.of(row, scale),)
    )
    return (rows, scale.sampler, scale.metrics, scale.samples, scale.dataset)


def resources(options: RunOptions, trainings: int) -> Resources:
    """What an executor is asked for. trainings: how many the plans have. InputError: it cannot compile."""
    if options.compiles:
        check_compiler()
    return Resources(
        device=options.device,
        trainings=trainings,
        workers=options.workers,
        threads=options.threads,
        processes=options.processes,
        checkpoint_seconds=options.checkpoint_seconds,
        compiles=options.compiles,
        slurm=options.slurm,
    )
