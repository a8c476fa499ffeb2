"""What the records say of a row: its metrics over all its seeds, for the card of one of its trainings."""

from dataclasses import dataclass

from prism_bench.analysis.schema.records import Record, Value, load_record
from prism_bench.analysis.stats.statistics import Interval, mean_interval
from prism_bench.experiments.tools.find import Trained, row_of
from prism_bench.prism.engine.store import Store


@dataclass(frozen=True)
class MetricResult:
    """A metric over a row's seeds. own: what the training that is handed on has."""

    own: Value
    over_seeds: Interval


@dataclass(frozen=True)
class RowResults:
    """The record of a training, and the metrics of its row. seeds: those that all metrics are over."""

    record: Record
    seeds: tuple[int, ...]
    metrics: tuple[MetricResult, ...]


def results_of(name: str, trained: Trained, store: Store) -> RowResults | None:
    """The results of the row that `name` names; of one record alone where it is no row; None without a record."""
    own = trained.record
    if own is None or own.status != "done":
        return None
    records = [own]
    if "/" in name:
        experiment, _, row = name.partition("/")
        _, cells = row_of(store, experiment, row)
        paths = (store.record_path(cell.record) for cell in cells)
        records = [record for record in map(load_record, filter(lambda it: it.exists(), paths)) if _alike(record, own)]
    records.sort(key=lambda record: record.seed)
    metrics = tuple(MetricResult(value, mean_interval(_values(value, records))) for value in own.values)
    return RowResults(own, tuple(record.seed for record in records), metrics)


def _alike(record: Record, own: Record) -> bool:
    """Whether two records differ in nothing but their seeds."""
    one, other = record.config, own.config
    return (
        record.status == "done"
        and (record.dataset.digest, one.method, one.split) == (own.dataset.digest, other.method, other.split)
        and one.sampling.model_copy(update={"sample_seed": 0}) == other.sampling.model_copy(update={"sample_seed": 0})
    )


def _values(own: Value, records: list[Record]) -> list[float]:
    """The metric's values, measured in the same way, of all records that have one."""
    return [
        value.value
        for record in records
        for value in record.values
        if (value.name, value.fingerprint) == (own.name, own.fingerprint)
    ]
