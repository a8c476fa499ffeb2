"""One kind of error for callers."""

from collections.abc import Iterator
from contextlib import contextmanager

from prism_bench.analysis.errors import AnalysisError
from prism_bench.prism.errors import InputError


@contextmanager
def as_input_errors() -> Iterator[None]:
    """What no honest table can be made of cannot be done as asked: an `InputError`, as all else of that kind."""
    try:
        yield
    except AnalysisError as error:
        raise InputError(str(error)) from error
