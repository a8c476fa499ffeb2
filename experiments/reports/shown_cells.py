"""The cells of a table with the files of their stages, from their records alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prism_bench.analysis.schema.records import Record, index_records
from prism_bench.analysis.table.results import Results
from prism_bench.prism.engine.store import Address, Store

DATASET, METRIC = "dataset", "metric"


@dataclass(frozen=True)
class ShownCell:
    """One cell of a table that has a record. Its files are None where the store has them no more."""

    row: str
    label: str
    seed: int
    k_sample: int
    record: Record
    store: Store

    def _file(self, stage: str, name: str) -> Path | None:
        key = self.record.stages.get(stage)
        return None if key is None else self.store.file(Address(stage.partition(":")[0], key), name)

    @property
    def samples(self) -> Path | None:
        """Its generated images."""
        return self._file("samples", "images.npy")

    @property
    def log(self) -> Path | None:
        """The log of its training."""
        return self._file("training", "metrics.jsonl")

    @property
    def images(self) -> Path | None:
        """The real images X."""
        return self.store.file(Address(DATASET, self.record.dataset.digest), "images.npy")

    def details(self, metric: str) -> Path | None:
        """What a metric, given by how its name starts, keeps of every sample."""
        stages = (name for name in self.record.stages if name.startswith(f"{METRIC}:{metric}"))
        return next(filter(None, (self._file(stage, "details.npz") for stage in stages)), None)


def shown_cells(results: Results, store: Store) -> Iterator[ShownCell]:
    """In the order of the table: rows, then numbers of neighbours, then seeds."""
    records = index_records(results.records)
    for row in results.plan.rows:
        for cell in row.cells:
            record = records.get(cell.record)
            if record is not None:
                k_sample = record.config.sampling.k_sample if cell.k_sample is None else cell.k_sample
                yield ShownCell(row.id, row.label, cell.seed, k_sample, record, store)
