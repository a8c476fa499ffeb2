"""Samples guided by a user's own pictures or words, whatever the trained method came from."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from prism_bench.experiments.options.trained import SampleOptions
from prism_bench.prism.conditioning.neighbour_search import ExactSearch, check_k
from prism_bench.prism.conditioning.retrieval import FaissIndex, Nearest, Retrieval
from prism_bench.prism.data.colour import BadImageError
from prism_bench.prism.data.decode import from_bytes
from prism_bench.prism.data.split import Ids
from prism_bench.prism.encoders.base import Vectors
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import Fitted, Gallery, SampleRequest
from prism_bench.prism.methods.sampling import Sampler

SearchesNearest = Nearest | FaissIndex


class Guides(NamedTuple):
    """What samples are guided by: the last `asked` rows of a gallery, which are in nobody's list of neighbours."""

    gallery: Gallery
    asked: int

    @property
    def known(self) -> int:
        """Rows before them."""
        return len(self.gallery.vectors) - self.asked

    @property
    def nearest(self) -> Ids:
        """The row that lies nearest to each."""
        found: Ids = self.gallery.neighbours[self.known :, 0]
        return found


def retrieval_for(options: SampleOptions, retrieval: Retrieval, label: str) -> SearchesNearest:
    """The retrieval, where it can look for the neighbours of what it has not seen.

    Raises:
        InputError: it cannot, or pictures and words are given together.
    """
    if options.pseudo_queries and options.prompts:
        raise InputError("--pseudo-query and --prompt exclude each other; sample twice")
    if not isinstance(retrieval, SearchesNearest):
        raise looks_at_none(options, label)
    return retrieval


def looks_at_none(options: SampleOptions, label: str) -> InputError:
    """The message for a method that no picture can guide."""
    return InputError(f"{option_in(options)}: {label} does not look at nearest neighbours; leave the option out")


def option_in(options: SampleOptions) -> str:
    """Which of the two options is given."""
    return "--prompt" if options.prompts else "--pseudo-query"


def pictures_of(files: tuple[Path, ...], resolution: int) -> Pixels:
    """The pictures of `--pseudo-query`, uint8 [n, 3, R, R]; InputError where one cannot be read."""
    found = []
    for path in files:
        try:
            found.append(from_bytes(path.read_bytes(), resolution))
        except OSError as error:
            raise InputError(f"--pseudo-query {path}: cannot be read ({error.strerror}); check the path") from None
        except BadImageError as error:
            raise InputError(f"--pseudo-query {path}: {error}") from None
    return np.stack(found) if found else np.empty((0, 3, resolution, resolution), np.uint8)


def guides_of(queries: Vectors, vectors: Vectors, among: Ids, retrieval: Retrieval, k: int, threads: int) -> Guides:
    """Embeddings of queries as further rows of `vectors`, with their k nearest of the rows `among`."""
    check_k(k, len(among))
    together = np.concatenate([vectors, retrieval.prepare(queries)])
    table = np.zeros((len(together), k), np.int64)
    search = ExactSearch(together, among, k, threads=threads)
    table[len(vectors) :] = search(np.arange(len(vectors), len(together)))
    return Guides(Gallery(together, table), len(queries))


def draw_guided(
    fitted: Fitted,
    guides: Guides,
    options: SampleOptions,
    sampler: Sampler,
    k_sample: int,
    *,
    batch: int,
    say: Callable[[str], None],
) -> Iterator[tuple[range, Pixels]]:
    """Which samples, and those samples: sample i by the i-th guide, modulo their number."""
    for which in range(min(guides.asked, options.n)):
        own = range(which, options.n, guides.asked)
        for start in range(0, len(own), batch):
            rows = own[start : start + batch]
            queries = np.full(len(rows), guides.known + which)
            yield rows, fitted.sample(SampleRequest(rows, options.seed, sampler, k_sample, queries, guides.gallery))
            say(f"  {rows[-1] + 1:,}/{options.n:,} samples")
