"""What each row costs: parameters, images, operations, time, memory; and quality against compute as a picture."""

from collections.abc import Callable, Iterable, Sequence

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.joined_rows import Line, lines_of
from prism_bench.analysis.schema.records import Plan, Record, index_records
from prism_bench.analysis.stats.statistics import STUDENT_T, Estimator
from prism_bench.analysis.table.table_model import Column, Row, Table, TableCell, Text

GROUP = "Efficiency"
Spell = Callable[[float], str]
Read = Callable[[Record], float | None]


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


COLUMNS: tuple[tuple[str, str, Read, Spell], ...] = (
    ("parameters", "Parameters", lambda one: one.parameters, lambda n: formatting.parameters(round(n))),
    ("active", "Active in sampling", lambda one: one.cost.active_parameters, lambda n: formatting.parameters(round(n))),
    ("model", "Model file", lambda one: one.cost.model_bytes, formatting.size),
    ("database", "Database", lambda one: one.cost.database_bytes, formatting.size),
    ("images", "Training images seen", lambda one: one.cost.images, lambda n: formatting.count(round(n))),
    (
        "per_image",
        "Operations per image seen",
        lambda one: _ratio(one.cost.train_flops, one.cost.images),
        formatting.operations,
    ),
    ("training", "Operations of the training", lambda one: one.cost.train_flops, formatting.operations),
    (
        "per_sample",
        "Operations per sample",
        lambda one: _ratio(one.cost.sample_flops, one.cost.samples),
        formatting.operations,
    ),
    ("seconds", "Training time", lambda one: one.cost.train_seconds, formatting.duration),
    (
        "speed",
        "Samples per second",
        lambda one: _ratio(one.cost.samples, one.cost.sample_seconds),
        lambda n: f"{n:.3g}",
    ),
    ("memory", "Peak memory", lambda one: one.cost.peak_bytes, formatting.size),
)
IN_MAIN = {"parameters", "seconds"}
"""What the main table shows too."""


def efficiency_table(plan: Plan, records: Iterable[Record], estimator: Estimator = STUDENT_T) -> Table | None:
    """Means over the finished seeds of each row; None where the records tell no more than the main table shows."""
    lines = [line for line in lines_of(plan, index_records(records)) if line.done()]
    if not lines or plan.kind == "grid":
        return None
    known = [column for column in COLUMNS if any(mean_cost(line, column[2]) is not None for line in lines)]
    if not {key for key, *_ in known} - IN_MAIN:
        return None
    return Table(
        plan=plan,
        columns=tuple(Column(key=key, label=label, kind="count") for key, label, _, _ in known),
        rows=tuple(_row(line, [(read, spell) for _, _, read, spell in known]) for line in lines),
        caption=(
            f"{GROUP}: {plan.title}.",
            "Means over the finished seeds. Operations are counted on shapes, a multiply and its add as two; an image "
            "seen is a patch where patches are trained on. A first stage counts in. The database is what "
            "neighbours are looked up in at sampling. Times and memory are those of the machines that computed "
            "the rows, with whatever ran beside.",
        ),
        notes=(),
        remarks=(),
        estimator=estimator,
        group=GROUP,
    )


def _row(line: Line, columns: Sequence[tuple[Read, Spell]]) -> Row:
    cells: list[TableCell] = []
    for read, spell in columns:
        mean = mean_cost(line, read)
        cells.append(Text(text="" if mean is None else spell(mean)))
    return Row(id=line.row.id, label=line.label, kind=line.kind, cells=tuple(cells))


def mean_cost(line: Line, read: Read) -> float | None:
    """The mean of a cost over the finished seeds of a line; None where none tells it."""
    found = [value for value in map(read, line.done()) if value is not None]
    return sum(found) / len(found) if found else None
