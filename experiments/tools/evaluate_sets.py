"""Two sets of pictures against each other, or one against saved statistics, as they are: no store, no run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from rich.console import Console

from prism_bench.experiments.data.open_data import fit_called
from prism_bench.experiments.options.option import at_home
from prism_bench.experiments.options.trained import EvaluateOptions
from prism_bench.prism.data.base import Images
from prism_bench.prism.data.colour import Remark
from prism_bench.prism.data.user_images.image_files import ImageFiles, Ingested, content_of, ingest
from prism_bench.prism.data.user_images.open_source import open_source
from prism_bench.prism.data.user_images.picture_sources import FolderSource, Source, ZipSource
from prism_bench.prism.encoders.base import Encoder, Vectors
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels, content_order
from prism_bench.prism.metrics.base import Metric, MetricInputs, Value
from prism_bench.prism.metrics.frechet import FrechetDistance, Moments
from prism_bench.prism.metrics.real_baseline import BaselineValue, real_baseline
from prism_bench.prism.metrics.saved_moments import saved_moments
from prism_bench.prism.rng import numpy_rng

SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """A value beside what real images reach (None where there are none to draw from), and how it was measured."""

    value: Value
    floor: BaselineValue | None
    fingerprint: str
    width: int | None = None


class Found(NamedTuple):
    """What was measured, its title, and what to know of the pictures."""

    title: str
    findings: list[Finding]
    notes: list[str]


def evaluate_sets(options: EvaluateOptions, metrics: Sequence[Metric], runtime: Runtime, console: Console) -> Found:
    """Generated pictures against reference pictures, and parts of the reference against the rest.

    All sets in the order of their content, so that the names and the order of files change nothing. The reference may
    be moments that another program saved; then `metrics` are Frechet distances.

    Raises:
        InputError: pictures of different sizes without --resolution, bad ones without --skip-bad, too few, statistics
            that do not fit, or metrics that decline the pictures.
    """
    paths = [at_home(text) for text in options.what]
    if saved_moments(paths[0]) is not None:
        raise InputError(f"{paths[0]} holds statistics, which are a reference: evaluate GENERATED {paths[0]}")
    saved = saved_moments(paths[1])
    sources = [_opened(path) for path in (paths if saved is None else paths[:1])]
    side = options.resolution or _native_side(sources)
    sets = [_decoded(source.path, side, options, console) for source in sources]
    ordered = [found.images.images[content_order(found.images.images)] for found in sets]
    generated = _drawn(ordered[0], paths[0], options)
    if saved is None:
        findings = list(_against_pictures(metrics, generated, ordered[1], runtime))
        reference = f"{len(ordered[1]):,} of {paths[1].name}"
    else:
        findings = [_against_moments(metric, generated, saved, paths[1], runtime) for metric in metrics]
        reference = f"the statistics {paths[1].name}"
    notes = [note for pair in zip(sources, sets, strict=True) for note in _notes(*pair)]
    if saved is not None:
        encoders = " and ".join(dict.fromkeys(metric.encoder.name for metric in metrics if metric.encoder is not None))
        notes.append(f"{paths[1].name} does not say how it was made: that it is of {encoders} is taken on trust")
    return Found(f"{paths[0].name}: {len(generated):,} pictures against {reference}, {side}x{side}", findings, notes)


def is_saved(text: str) -> bool:
    """Whether a reference is saved statistics."""
    return saved_moments(at_home(text)) is not None


def _opened(path: Path) -> Source:
    try:
        return open_source(path)
    except InputError as error:
        raise _without_option(error, path) from None


def _without_option(error: InputError, path: Path) -> InputError:
    """What reads pictures speaks of `--data`, which is an option of other commands."""
    return InputError(str(error).replace(f"--data {path}", str(path)))


def _native_side(sources: Sequence[Source]) -> int:
    """The shorter side of all pictures, where they agree."""
    sizes = [_sizes(source) for source in sources]
    distinct = {size for counts in sizes for size in counts}
    if len(distinct) > 1:
        said = "; ".join(f"{source.path.name}: {_shown(counts)}" for source, counts in zip(sources, sizes, strict=True))
        usual = min(sum(sizes, Counter()).most_common(1)[0][0])
        raise InputError(
            f"the pictures are not all of one size ({said}), and bringing them to one changes the values; say at which "
            f"side they are to be compared: --resolution {usual}"
        )
    # Where none can be opened, decoding says so.
    return min(distinct.pop()) if distinct else 1


def _sizes(source: Source) -> Counter[tuple[int, int]]:
    try:
        return source.sizes()
    except InputError as error:
        raise _without_option(error, source.path) from None


def _shown(sizes: Counter[tuple[int, int]]) -> str:
    counts = [f"{count:,} of {width}x{height}" for (width, height), count in sizes.most_common(SHOWN)]
    return ", ".join([*counts, f"{len(sizes) - SHOWN} more sizes"] if len(sizes) > SHOWN else counts)


def _decoded(path: Path, side: int, options: EvaluateOptions, console: Console) -> Ingested:
    console.print(f"Decoding {path} at {side}x{side} ...", markup=False)
    try:
        found = ingest(path, resolution=side, skip_bad=options.skip_bad, fit=fit_called(options.fit, files=True))
    except InputError as error:
        raise _without_option(error, path) from None
    for name, reason in found.skipped:
        console.print(f"  skipped {name}: {reason}", markup=False)
    return found


def _drawn(generated: Pixels, path: Path, options: EvaluateOptions) -> Pixels:
    if options.n is None:
        return generated
    if options.n > len(generated):
        raise InputError(f"--n {options.n}: {path} holds {len(generated)} pictures; ask for at most as many")
    return generated[np.sort(numpy_rng(options.seed, "evaluated").permutation(len(generated))[: options.n])]


def _against_pictures(
    metrics: Sequence[Metric], generated: Pixels, reference: Pixels, runtime: Runtime
) -> Iterator[Finding]:
    """Each metric and its baseline; what is fitted on the reference knows it by its pictures alone, not by labels."""
    labels = np.zeros(len(reference), np.int64)
    content = content_of(Images(reference, labels, ("all",)))
    dataset = ImageFiles(resolution=reference.shape[-1], content=content)
    for metric in metrics:
        reason = metric.applies(dataset)
        if reason is not None:
            raise InputError(f"--metrics {metric.name}: {reason}")
        yield from _measured(metric, generated, reference, dataset, runtime)


def _measured(
    metric: Metric, generated: Pixels, reference: Pixels, dataset: ImageFiles, runtime: Runtime
) -> Iterator[Finding]:
    fake: Vectors | None = None
    real: Vectors | None = None
    if metric.encoder is not None:
        gallery = reference if metric.encoder.fitted else None
        fake, real = _embedded(metric.encoder, (generated, reference), gallery, runtime)
    inputs = MetricInputs(
        generated=generated,
        reference=reference,
        dataset=dataset,
        generated_features=fake,
        reference_features=real,
    )
    floors = real_baseline(metric, inputs, len(generated)).values
    for value in metric.compute(inputs):
        fingerprint = metric.fingerprint(value.n, value.reference_n, fitted_on=dataset.digest())
        yield Finding(value, floors[value.name], fingerprint, None if real is None else real.shape[1])


def _embedded(encoder: Encoder, sets: Sequence[Pixels], gallery: Pixels | None, runtime: Runtime) -> Iterator[Vectors]:
    embed, size = encoder.load(gallery, runtime.device), encoder.batch
    for images in sets:
        yield np.concatenate([embed(images[at : at + size]) for at in range(0, len(images), size)])


def _against_moments(metric: Metric, generated: Pixels, saved: Moments, path: Path, runtime: Runtime) -> Finding:
    """A Frechet distance to saved moments, which have no pictures to make a baseline of."""
    if not isinstance(metric, FrechetDistance) or metric.encoder.fitted:
        raise InputError(
            f"--metrics {metric.full_name} needs the reference's pictures, and {path} holds their statistics alone; "
            "give the pictures, or ask for frechet through the encoder that made the statistics"
        )
    if len(generated) < metric.min_samples:
        raise InputError(f"metric {metric.name} needs at least {metric.min_samples} pictures, not {len(generated)}")
    (features,) = _embedded(metric.encoder, (generated,), None, runtime)
    if features.shape[1] != len(saved.mean):
        raise InputError(
            f"{path} holds statistics of {len(saved.mean):,} features, and {metric.encoder.name} has "
            f"{features.shape[1]:,}; name the encoder that made them: those of clean-fid (mode clean) are of "
            "--encoder inception, those of pytorch-fid and EDM nearest to inception-legacy"
        )
    (value,) = metric.against(features, features[:0], saved._asdict())
    return Finding(value, None, metric.fingerprint(value.n, 0), features.shape[1])


def _notes(source: Source, found: Ingested) -> Iterator[str]:
    """What clean-fid, given the same files, does not do to pictures, and files that it does not look at."""
    done = [f"{found.done[remark]:,} {remark}" for remark in Remark if found.done[remark]]
    if done:
        yield (
            f"{source.path.name}: clean-fid, given the same files, takes all pictures as they are; here are "
            f"{', '.join(done)}"
        )
    listed_there = source.names if isinstance(source, FolderSource | ZipSource) else ()
    passed = [name for name in map(PurePosixPath, listed_there) if not _seen_by_clean_fid(name, source)]
    if passed:
        kinds = Counter(name.suffix or "no suffix" for name in passed).most_common(SHOWN)
        listed = ", ".join(f"{count:,} x {suffix}" for suffix, count in kinds)
        yield f"{source.path.name}: clean-fid would not look at {len(passed):,} of the pictures ({listed})"
    yield from (f"{source.path.name}: {remark}" for remark in found.remarks if remark.startswith("left out"))


def _seen_by_clean_fid(name: PurePosixPath, source: Source) -> bool:
    """It lists a folder by suffixes as they are spelled, and an archive by those in lower case."""
    from cleanfid.utils import EXTENSIONS

    suffix = name.suffix.removeprefix(".")
    return not suffix or (suffix if isinstance(source, FolderSource) else suffix.lower()) in EXTENSIONS
