"""Distances of features, precision and recall, and neighbours: ours beside those of other packages, from features.

Both ways are given the same float32 features and must give the same value, to the tolerance that each row names.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.speed.pairs import Missing, Row, Way
from prism_bench.prism.conditioning.neighbour_search import ExactSearch
from prism_bench.prism.metrics.frechet import frechet_between
from prism_bench.prism.metrics.kid import Kernel, kernel_distance
from prism_bench.prism.metrics.prdc import PRDC, precision_recall

Features = npt.NDArray[np.float32]
SUBSET = 1000
NEAREST = 5
QUERIES = 1024
"""Queries of a batch, as the neighbours' stage asks."""


def rows() -> Iterator[Row]:
    """See above."""
    yield from frechet()
    yield from kernels()
    yield precision()
    yield from neighbours()


def frechet() -> Iterator[Row]:
    """From features to the distance, both sets' moments included."""
    for dim, rounds in ((768, 7), (2048, 2)):
        sets = features(5000, dim), features(5000, dim, scale=1.05, shift=0.02)
        others = [other("torch-fidelity", "torch_fidelity", partial(by_torch_fidelity, *sets))]
        if dim < 1000:
            others.append(other("clean-fid", "cleanfid", partial(by_clean_fid, *sets)))
        else:
            others.append(Missing(label="clean-fid", why="its matrix root takes half a minute"))
        yield Row(
            work=f"FD of 5,000 x {dim} features to as many; values equal to 1e-5",
            ours=Way(label="frechet_between", run=partial(frechet_between, *sets)),
            others=tuple(others),
            goal="as fast as the fastest peer",
            rounds=rounds,
            same=partial(np.testing.assert_allclose, rtol=1e-5),
        )


def kernels() -> Iterator[Row]:
    """Of equal work where ours takes subsets, too; where all pairs are fewer, ours takes all of them."""
    for n, subsets, rounds, words in (
        (2000, 10, 5, "ours over all pairs, which are fewer"),
        (5000, 10, 5, "over as many pairs"),
        (5000, 100, 1, "ours over all pairs, which are fewer (the defaults of both)"),
    ):
        sets = features(n, 768), features(n, 768, scale=1.05, shift=0.1)
        run = partial(kernel_distance, *sets, subsets=subsets, subset_size=SUBSET)
        theirs = partial(kid_of_torch_fidelity, *sets, subsets)
        yield Row(
            work=f"KID of {n:,} x 768 features to as many, {subsets} subsets of {SUBSET:,} each, {words}; "
            "values equal to 5 standard errors, as subsets are drawn otherwise",
            ours=Way(label="kernel_distance, float64", run=run),
            others=(other("torch-fidelity, float32", "torch_fidelity", theirs),),
            goal="as fast",
            rounds=rounds,
            same=kernels_agree,
        )


def precision() -> Row:
    """Four numbers."""
    real, made = features(2500, 768), features(2500, 768, scale=1.05)
    return Row(
        work="precision, recall, density, coverage of 2,500 x 768 features to as many, k = 5; values equal to 1e-3",
        ours=Way(label="precision_recall", run=partial(precision_recall, made, real, k=NEAREST)),
        others=(other("prdc", "prdc", partial(by_prdc, real, made)),),
        goal="as fast",
        rounds=5,
        same=lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=1e-3),
    )


def neighbours() -> Iterator[Row]:
    """Exact and the same on every machine, beside what faiss alone finds in float32."""
    for dim, k in ((64, 16), (512, 16)):
        vectors = features(8000, dim)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yield Row(
            work=f"{k} neighbours in a D of 5,600 for each of 8,000 vectors of {dim}; 99.9% of ids equal",
            ours=Way(label="ExactSearch, exact order", run=partial(by_exact_search, vectors, k)),
            others=(other("faiss.knn, float32", "faiss", partial(by_faiss, vectors, k)),),
            goal="0.95: at most 1.05 of bare faiss",
            rounds=5,
            same=ids_agree,
        )


def other(label: str, package: str, run: Callable[[], Any]) -> Way | Missing:
    """That way, where its package is installed."""
    return Missing(label=label, why="not installed") if find_spec(package) is None else Way(label=label, run=run)


def features(n: int, dim: int, *, scale: float = 1.0, shift: float = 0.0) -> Features:
    """Normal ones, correlated, whose variances fall as those of networks' do."""
    rng = np.random.default_rng(round(1000 * scale))
    mixture = np.random.default_rng(0).standard_normal((dim, dim)) / np.sqrt(dim)
    spread = np.arange(1, dim + 1)[:, None] ** -0.5
    found: Features = (rng.standard_normal((n, dim)) @ ((np.eye(dim) + 0.3 * mixture) * spread)).astype(np.float32)
    return found * np.float32(scale) + np.float32(shift)


def by_torch_fidelity(one: Features, two: Features) -> float:
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    moments = (fid_features_to_statistics(torch.from_numpy(part)) for part in (one, two))
    return float(fid_statistics_to_metric(*moments, False)["frechet_inception_distance"])


def by_clean_fid(one: Features, two: Features) -> float:
    from cleanfid.fid import fid_from_feats

    with warnings.catch_warnings():
        # It calls sqrtm(disp=False), which scipy 1.17 announces to remove.
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(fid_from_feats(one, two))


def kid_of_torch_fidelity(one: Features, two: Features, subsets: int) -> float:
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric

    sets = (torch.from_numpy(part) for part in (one, two))
    how = {"kid_subsets": subsets, "kid_subset_size": SUBSET, "verbose": False, "rng_seed": 0}
    return float(kid_features_to_metric(*sets, **how)["kernel_inception_distance_mean"])


def kernels_agree(ours: Kernel, theirs: float) -> None:
    assert abs(ours.distance - theirs) < 5 * ours.standard_error, (ours, theirs)


def by_prdc(real: Features, made: Features) -> PRDC:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(real, made, NEAREST)
    return PRDC(**{name: float(found[name]) for name in PRDC._fields})


def in_d(vectors: Features) -> npt.NDArray[np.int64]:
    """Seven in ten of them."""
    return np.flatnonzero(np.arange(len(vectors)) % 10 < 7)


def by_exact_search(vectors: Features, k: int) -> npt.NDArray[np.int64]:
    search = ExactSearch(vectors, in_d(vectors), k)
    everyone = np.arange(len(vectors))
    return np.concatenate([search(everyone[start : start + QUERIES]) for start in range(0, len(vectors), QUERIES)])


def by_faiss(vectors: Features, k: int) -> npt.NDArray[np.int64]:
    import faiss

    faiss.omp_set_num_threads(1)
    ids = in_d(vectors)
    gallery = vectors[ids]
    batches = range(0, len(vectors), QUERIES)
    return ids[np.concatenate([faiss.knn(vectors[start : start + QUERIES], gallery, k)[1] for start in batches])]


def ids_agree(ours: npt.NDArray[np.int64], theirs: npt.NDArray[np.int64]) -> None:
    share = float((ours == theirs).mean())
    assert share > 0.999, f"{share:.5f} of the neighbours are the same"
