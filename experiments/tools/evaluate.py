"""`prism-bench evaluate`: two sets of pictures, or a trained variant against its own data."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from prism_bench.experiments.formatting import columns
from prism_bench.experiments.options.trained import EvaluateOptions
from prism_bench.experiments.paper.scales import LAPTOP, METRICS
from prism_bench.experiments.planning.cells import measured_by
from prism_bench.experiments.planning.metric_names import metric_called
from prism_bench.experiments.screen import Screen
from prism_bench.experiments.tools.complete import complete
from prism_bench.experiments.tools.evaluate_sets import Finding, evaluate_sets, is_saved
from prism_bench.experiments.tools.find import Trained, find_trained
from prism_bench.experiments.tools.sample import k_sample_of, runtime_of, sampler_of, samples_stage
from prism_bench.prism.component import from_json, load, with_setting
from prism_bench.prism.encoders.base import Encoder
from prism_bench.prism.engine.runtime import Runtime, write_json
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Address, Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.metrics.base import EncodedMetric, Metric, Value
from prism_bench.prism.metrics.frechet import FrechetDistance
from prism_bench.prism.metrics.real_baseline import BaselineValue


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and the values."""

    title: str
    findings: list[Finding]
    notes: Sequence[str] = ()

    def lines(self) -> list[str]:
        """A plain table, and a warning where a Frechet distance is mostly the bias of a small sample."""
        rows: list[tuple[str, ...]] = [("metric", "value", "n", "against", "real images (baseline)", "fingerprint")]
        for found in self.findings:
            value = found.value
            error = "" if value.standard_error is None else f" (standard error {value.standard_error:.2g})"
            arrow = "down" if value.better == "lower" else "up"
            unit = f", {value.unit}" if value.unit else ""
            rows.append(
                (
                    f"{value.label}{unit} ({arrow} is better)",
                    f"{value.value:.6g}{error}",
                    f"{value.n:,}",
                    f"{value.reference_n:,}" if value.reference_n else "",
                    "none: no pictures" if found.floor is None else _floor(found.floor),
                    found.fingerprint,
                )
            )
        lines = [f"  {line}" for line in columns(rows)]
        biased = [found for found in self.findings if found.width is not None and found.value.n <= found.width]
        if biased:
            lines.append(
                f"  note: n = {biased[0].value.n:,} is at or below the {biased[0].width:,} features of the encoder, so "
                "a Frechet distance is mostly the bias of the small sample; compare it only with values of the same n"
            )
        return [*lines, *(f"  note: {note}" for note in self.notes)]

    def document(self) -> dict[str, Any]:
        """The values in full, and the notes, as `--out` and `--json` write them."""
        values = [_as_json(finding) for finding in self.findings]
        return {"what": self.title, "values": values, "notes": list(self.notes)}


def _floor(floor: BaselineValue) -> str:
    spread = "" if floor.spread is None else f" ± {floor.spread:.2g}"
    return f"{floor.value.value:.6g}{spread} at n = {floor.value.n:,}"


def run_evaluate(options: EvaluateOptions, screen: Screen) -> Evaluation:
    """Measure, and write the values where asked for.

    Raises:
        InputError: more than two things, unknown ones, or metrics that do not fit them.
    """
    load(options.plugins)
    if len(options.what) > 2:
        raise InputError(f"evaluate compares two sets of pictures or takes one run, not {len(options.what)} things")
    runtime = runtime_of(options.device)
    measure = _sets if len(options.what) == 2 else _run
    found = measure(options, runtime, screen)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.out, found.document())
    return found


def _sets(options: EvaluateOptions, runtime: Runtime, screen: Screen) -> Evaluation:
    """By the metrics asked for; against saved statistics by the distances alone, unless others are asked for."""
    for flag, given in (("--k-sample", options.k_sample is not None), ("--train-seed", options.train_seed != 0)):
        if given:
            raise InputError(f"{flag} is about a run; two sets of pictures are as they are, so leave it out")
    metrics = _chosen(options, METRICS)
    if not options.metrics and is_saved(options.what[1]):
        metrics = [metric for metric in metrics if isinstance(metric, FrechetDistance)]
    return Evaluation(*evaluate_sets(options, metrics, runtime, screen.said))


def _run(options: EvaluateOptions, runtime: Runtime, screen: Screen) -> Evaluation:
    """A trained variant's samples against its own data: the stages of a table's cell."""
    for flag, given in (
        ("--resolution", options.resolution is not None),
        ("--skip-bad", options.skip_bad),
        ("--fit", options.fit != "crop"),
    ):
        if given:
            raise InputError(f"{flag} is about sets of pictures; a run has its images as they are, so leave it out")
    store = Store(options.store.absolute())
    trained = find_trained(store, options.what[0], options.train_seed)
    n = options.n or (LAPTOP.samples if trained.record is None else trained.record.config.sampling.samples)
    looks = trained.stage.neighbours is not None
    k_sample = k_sample_of(options.k_sample, trained.k_sample, trained.label, looks=looks)
    sampler = sampler_of(None, None, trained.sampler, trained.stage.method)
    stage = samples_stage(trained, sampler, k_sample, n, options.seed, store)
    dataset = stage.training.data.dataset
    pairs = [
        measured_by(metric, stage, dataset.label)
        for metric in _chosen(options, _own(trained, store))
        if metric.applies(dataset) is None
    ]
    pool = LocalPool.one(store, runtime, options.plugins, here=not options.workers)
    complete([one for pair in pairs for one in pair], store, pool, screen)
    findings: list[Finding] = []
    for own, floor in pairs:
        floors = {value.name: BaselineValue(value, spread) for value, spread, _ in _values(floor, store)}
        width = None
        if own.features is not None:
            width = np.load(store.folder(own.features.address) / "features.npy", mmap_mode="r").shape[1]
        findings += [Finding(value, floors[value.name], mark, width) for value, _, mark in _values(own, store)]
    names = [] if trained.record is None else [value.name for value in trained.record.values]
    findings.sort(key=lambda found: names.index(found.value.name) if found.value.name in names else len(names))
    return Evaluation(f"{trained.label}: {n:,} samples, seed {options.seed}, against all of {dataset.label}", findings)


def _values(stage: Stage, store: Store) -> Iterator[tuple[Value, float | None, str]]:
    """What a stage measured, with the spread over splits of a baseline, and fingerprints."""
    for row in json.loads((store.folder(stage.address) / "values.json").read_text()):
        spread, fingerprint = row.pop("spread", None), str(row.pop("fingerprint"))
        yield Value(**row), spread, fingerprint


def _own(trained: Trained, store: Store) -> tuple[Metric, ...]:
    """The metrics of the run's table cell, exactly; those of the laptop scale where it has none."""
    stages = {} if trained.record is None else trained.record.stages
    manifests = [store.manifest(Address("metric", key)) for name, key in stages.items() if name.startswith("metric:")]
    found = [from_json(manifest.identity["parameters"]["metric"]) for manifest in manifests if manifest is not None]
    return tuple(found) or LAPTOP.metrics


def _chosen(options: EvaluateOptions, default: Sequence[Metric]) -> list[Metric]:
    """The metrics of the command line, through the encoder of the command line where one is named."""
    chosen = [metric_called(name, default) for name in options.metrics] or list(default)
    if options.encoder is not None:
        encoder = Encoder.called(options.encoder)
        chosen = [it.replace(encoder=encoder) if isinstance(it, EncodedMetric) else it for it in chosen]
    if options.input_size is not None:
        chosen = _resized(chosen, str(options.input_size))
    for metric in chosen:
        if metric.encoder is not None:
            metric.encoder.check()
    # Distances through different encoders are one where `--encoder` names the encoder of all.
    return list(dict.fromkeys(chosen))


def _resized(metrics: Sequence[Metric], size: str) -> list[Metric]:
    """The metrics at another input size; encoders without one (components of the pixels) stay, unless none has one."""
    encoded = [it for it in metrics if isinstance(it, EncodedMetric)]
    sized = [it for it in encoded if "input_size" in {field.name for field in fields(it.encoder)}] or encoded
    new = {it: with_setting(it.encoder, "input_size", size, said=f"--input-size {size}") for it in sized}
    return [it.replace(encoder=new[it]) if it in new else it for it in metrics]


def _as_json(found: Finding) -> dict[str, Any]:
    floor = found.floor
    return {
        **found.value._asdict(),
        "floor": None if floor is None else floor.value.value,
        "floor_n": None if floor is None else floor.value.n,
        "floor_spread": None if floor is None else floor.spread,
        "fingerprint": found.fingerprint,
    }
