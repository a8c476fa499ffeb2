"""From the options of `prism-bench run` to checked requests, device and workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from rich.console import Console

from prism_bench.baselines.systems import OtherSystems, System
from prism_bench.experiments.data.open_data import open_data
from prism_bench.experiments.data.source import ImageSource
from prism_bench.experiments.formatting import counted
from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.paper.experiment import Experiment, Row, merged_rows
from prism_bench.experiments.paper.names import NUMBERED, PAPER_ORDER
from prism_bench.experiments.paper.published import TITLES
from prism_bench.experiments.paper.scales import scale_named
from prism_bench.experiments.planning.metric_names import with_metrics
from prism_bench.experiments.planning.request import Request
from prism_bench.experiments.planning.settings import apply_setting
from prism_bench.prism.data.split import Split
from prism_bench.prism.encoders.base import Encoder
from prism_bench.prism.encoders.clip import CLIP
from prism_bench.prism.encoders.clip_files import take
from prism_bench.prism.engine.runtime import usable_cores
from prism_bench.prism.engine.slots import Slots, slots_for
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError, closest
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
    files = dict(_panel_of_files(options, text) for text in options.data)
    sources = {
        panel: open_data(
            files.get(panel),
            None if panel else options.dataset,
            scale.dataset,
            resolution=options.resolution,
            skip_bad=options.skip_bad,
            store=store,
            console=console,
        )
        for panel, scale in scales.items()
    }
    return [choice.request(panel, scales[panel], sources[panel]) for choice, panel in parts]


def _panel_of_files(options: RunOptions, text: str) -> tuple[str, Path]:
    """Which panel a `--data` is for: PATH serves a scale of one set, NAME=PATH the paper's sets."""
    name, equals, path = text.partition("=")
    several = scale_named(options.scale).whole is None
    if equals and name in TITLES:
        if not several:
            raise InputError(f"--data {text}: at scale {options.scale} all rows share one set; give --data PATH")
        return name, Path(path)
    if several:
        raise InputError(
            f"--data {text}: scale {options.scale} runs on {', '.join(TITLES)}; say which of them these "
            f"pictures are: --data celeba={text}"
        )
    return "", Path(text)


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
                f"--set {setting} changes none of the rows: their variants choose schedule, aggregator and "
                "training set themselves; use k_max, fixed_k or k_sample, or a variant of your own (--plugin, --with)"
            )
        scale = changed
    _check_rampups(scale)
    scale = scale.replace(metrics=with_metrics(scale.metrics, options.metrics, scale.samples))
    if options.first_stage is not None:
        from prism_bench.baselines.rissole.rows import with_first_stage

        scale = with_first_stage(scale, options.first_stage)
    return scale if options.clip_weights is None else with_clip_weights(scale, options.clip_weights)


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
        (row.variant.method(scale), row.variant.sampler(scale), row.k_sample or row.variant.k_sample(scale))
        for choice in chosen
        for row in choice.rows(panel, scale)
        if row.variant is not None
    )
    return (rows, scale.sampler, scale.metrics, scale.samples, scale.dataset)


def resources(options: RunOptions, trainings: int) -> Slots:
    """Devices, workers and threads; see `slots_for`."""
    return slots_for(
        devices_called(options.device),
        cores=usable_cores(),
        trainings=trainings,
        workers=options.workers,
        threads=options.threads,
        checkpoint_seconds=options.checkpoint_seconds,
    )


def devices_called(names: str) -> tuple[str, ...]:
    """The devices of a list with commas between; `auto` and `cuda` are every GPU there is. InputError as below."""
    import torch

    found: list[str] = []
    for name in names.split(","):
        device = device_called(name.strip())
        every = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if device == "cuda" else [device]
        found += [it for it in every if it not in found]
    if len(found) > 1 and not all(device.startswith("cuda:") for device in found):
        raise InputError(f"--device {names}: several devices must be GPUs, cuda:0,cuda:1; name one kind")
    return tuple(found)


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
    index = name.partition(":")[2]
    if kind == "cuda" and index and not (index.isdigit() and int(index) < torch.cuda.device_count()):
        count = torch.cuda.device_count()
        raise InputError(f"--device {name}: this machine has {counted(count, 'GPU')}, cuda:0 to cuda:{count - 1}")
    return name
