"""Arrays made batch by batch that survive a crash: embeddings, samples, features."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prism_bench.prism.engine.runtime import Report, StopRequestedError, write_bytes


def fill_rows(
    path: Path,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    *,
    batch: int,
    make: Callable[[range], npt.NDArray[np.generic]],
    report: Report,
    unit: str,
) -> None:
    """Write the .npy file `path`, calling `make(rows)` for consecutive ranges of at most `batch` rows.

    Rows already made by an interrupted call are kept: batches always begin at multiples of `batch`, so the result
    is the same bytes.

    Raises:
        StopRequestedError: the process was asked to stop; the rows made so far are kept.
    """
    partial, counter = path.with_suffix(".partial"), path.with_suffix(".rows")
    done = int(counter.read_text()) if counter.exists() and partial.exists() else 0
    if done:
        array = np.lib.format.open_memmap(partial, "r+")
    else:
        array = np.lib.format.open_memmap(partial, "w+", np.dtype(dtype), shape)
    for start in range(done, shape[0], batch):
        rows = range(start, min(start + batch, shape[0]))
        array[rows.start : rows.stop] = make(rows)
        array.flush()
        write_bytes(counter, str(rows.stop).encode())
        report(rows.stop, shape[0], unit)
        if report.should_stop() and rows.stop < shape[0]:
            raise StopRequestedError
    del array
    partial.replace(path)
    counter.unlink(missing_ok=True)
