"""What an index over D costs, and how many of the exact neighbours it finds, on synthetic vectors.

    OMP_NUM_THREADS=1 python -m benchmarks.indices [--vectors 100000 --dimensions 512 --hnsw]

The table is Markdown; times are CPU seconds of one thread. The vectors are unit vectors that a random two-layer map
makes of 32 Gaussian numbers each, for embeddings of images have few degrees of freedom beside their dimensions;
independent coordinates would be a harder case than any real one. Queries are further vectors of the same map. Recall:
the share of the exact 16 nearest that is among the 16 that were found.
"""

import argparse
import time
from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

K, QUERIES, LATENT, HIDDEN, BLOCK = 16, 1000, 32, 256, 65536
PROBES = (1, 4, 16, 64, 256)
Vectors = npt.NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description="Indices over synthetic vectors.")
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--hnsw", action="store_true", help="graphs too, which one thread builds slowly")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    n, d = options.vectors, options.dimensions
    vectors = synthetic(n + QUERIES, d)
    base, queries = vectors[:n], vectors[n:]
    print(f"{n:,} vectors of {d} dimensions, one thread\n")
    print("| index | search | bytes a vector | built in | ms a query | recall of 16 |\n|---|---|---:|---:|---:|---:|")
    started = time.process_time()
    exact = faiss.IndexFlatL2(d)
    exact.add(base)
    truth = exact.search(queries, K)[1]
    milliseconds = (time.process_time() - started) * 1000 / QUERIES
    print(f"| Flat | all | {4 * d} | 0 s | {milliseconds:.2f} | 1 |", flush=True)
    del exact
    lists = 1 << round(np.log2(4 * n**0.5))
    factories = [f"IVF{lists},Flat", f"IVF{lists},SQ8", f"IVF{lists},PQ64", f"IVF{lists},PQ64,RFlat"]
    for factory in [*factories, *(["HNSW32"] if options.hnsw else [])]:
        for line in measured(factory, lists, base, queries, truth):
            print(line, flush=True)


def synthetic(n: int, d: int) -> Vectors:
    rng = np.random.default_rng(0)
    first = rng.standard_normal((LATENT, HIDDEN), np.float32) / np.float32(LATENT**0.5)
    second = rng.standard_normal((HIDDEN, d), np.float32)
    vectors = np.empty((n, d), np.float32)
    for start in range(0, n, BLOCK):
        latent = rng.standard_normal((min(BLOCK, n - start), LATENT), np.float32)
        vectors[start : start + BLOCK] = np.tanh(2 * latent @ first) @ second
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def measured(factory: str, lists: int, base: Vectors, queries: Vectors, truth: npt.NDArray[np.int64]) -> Iterator[str]:
    """A line for each effort of the search."""
    index = faiss.index_factory(base.shape[1], factory)
    started = time.process_time()
    index.train(base[: max(40 * lists, 1 << 14)])
    index.add(base)
    built = time.process_time() - started
    kept = len(faiss.serialize_index(index)) / len(base)
    for said, parameters in efforts(factory):
        started = time.process_time()
        found = index.search(queries, K, params=parameters)[1]
        milliseconds = (time.process_time() - started) * 1000 / len(queries)
        recall = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found, truth, strict=True)])
        yield f"| {factory} | {said} | {kept:.0f} | {built:.0f} s | {milliseconds:.2f} | {recall:.3f} |"


def efforts(factory: str) -> Iterator[tuple[str, Any]]:
    if factory.startswith("HNSW"):
        for effort in (16, 64, 256):
            yield f"ef {effort}", faiss.SearchParametersHNSW(efSearch=effort)
        return
    for probes in PROBES:
        lists = faiss.SearchParametersIVF(nprobe=probes)
        if factory.endswith("RFlat"):
            again = faiss.IndexRefineSearchParameters(k_factor=8, base_index_params=lists)
            yield f"{probes} lists, 128 again", again
        else:
            yield f"{probes} lists", lists


if __name__ == "__main__":
    main()
