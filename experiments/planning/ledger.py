"""What of a plan is not as the paper says, or is open there: of its rows' methods and samplers, its split and data."""

from collections.abc import Iterator, Sequence

from prism_bench.analysis.schema.records import OpenChoice
from prism_bench.experiments.planning.cells import Cell
from prism_bench.experiments.planning.request import Request
from prism_bench.prism.component import canonical
from prism_bench.prism.sources import Choice, choices, sources_of

IDLE = ("schedule", "retrieval")
"""Parts of a method that do nothing where it uses no neighbours."""


def ledger(request: Request, cells: Sequence[Cell]) -> tuple[OpenChoice, ...]:
    """Each choice with the rows that have it; controls, which the paper does not have, are passed over."""
    first = {cell.row: cell for cell in reversed(cells)}
    labels = {row.id: row.label for row in request.rows if row.id in first and not row.control}
    found: dict[str, tuple[Choice, list[str]]] = {}
    for row, label in labels.items():
        for choice in of_cell(first[row]):
            if choice.status != "given":
                found.setdefault(canonical([*choice[:4]]), (choice, []))[1].append(label)
    by_row = [_open(choice, () if len(rows) == len(labels) else tuple(rows)) for choice, rows in found.values()]
    return (*by_row, *(_open(choice) for choice in of_plan(request) if choice.status != "given"))


def of_cell(cell: Cell) -> Iterator[Choice]:
    """Every choice of a row's method and sampler, those that are given too."""
    method = cell.training.method
    for choice in choices(method, ""):
        if method.conditioning is not None or choice.path.partition(".")[0] not in IDLE:
            yield choice
    yield from choices(cell.samples.sampler, "sampler")


def of_plan(request: Request) -> Iterator[Choice]:
    """Those of the split, and of the paper's datasets."""
    yield from choices(request.split.split, "split")
    dataset = request.source.stage.dataset
    if sources_of(type(dataset)):
        yield from choices(dataset, "dataset")


def _open(choice: Choice, rows: tuple[str, ...] = ()) -> OpenChoice:
    path, value, status, words, _ = choice
    return OpenChoice.model_validate({"path": path, "value": value, "status": status, "words": words, "rows": rows})
