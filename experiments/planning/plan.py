"""The table compiler: what was asked -> cells -> one graph of stages, equal stages merged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from prism_bench.analysis.schema import records as schema
from prism_bench.experiments.planning.cells import Cell, Layout
from prism_bench.experiments.planning.plan_document import document
from prism_bench.experiments.planning.request import ONLY, Entry, Request
from prism_bench.prism.engine.stage import Stage, walk
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import Method


@dataclass(frozen=True)
class Plan:
    """All cells of an experiment, and the document that tables are built from."""

    request: Request
    cells: tuple[Cell, ...]
    document: schema.Plan

    @property
    def digest(self) -> str:
        """The identity of what was asked: rows, records and caption facts."""
        return self.document.plan

    @property
    def declined(self) -> tuple[schema.PlanRow, ...]:
        """The rows that are not computed."""
        return tuple(row for row in self.document.rows if row.declined is not None)

    @cached_property
    def stages(self) -> dict[str, Stage]:
        """Every distinct stage by address, inputs first."""
        return {str(stage.address): stage for cell in self.cells for target in cell.targets for stage in walk(target)}

    def warnings(self) -> Iterator[str]:
        """What a careful reader would want to know before the run."""
        scale = self.request.scale
        retrieval = scale.method.retrieval.encoder
        # The first encoder is that of the distance by which claims are judged; others are columns beside it.
        judge = next((metric.encoder for metric in scale.metrics if metric.encoder is not None), None)
        if judge is not None and judge.name == retrieval.name:
            yield (
                f"retrieval and evaluation both use the encoder {retrieval.name}: a method that copies its "
                "neighbours looks good to it; set method.retrieval.encoder or the metric's encoder apart"
            )
        if self.request.source.skipped:
            yield f"{self.request.source.skipped} unreadable images were skipped (--skip-bad)"


def table_cells(plans: Sequence[Plan]) -> int:
    """Cells with numbers of all tables, declined rows included; grids and curves show cells of tables."""
    tables = [plan for plan in plans if plan.request.experiment.kind == "table"]
    return sum(len(plan.cells) + len(plan.declined) * len(plan.document.seeds) for plan in tables)


def distinct_trainings(plans: Sequence[Plan]) -> int:
    """Distinct trainings of all plans, cached or not; a declined row stands for one for each seed."""
    known = {str(cell.training.address) for plan in plans for cell in plan.cells}
    declined = {
        (row.id, plan.request.panel, seed) for plan in plans for row in plan.declined for seed in plan.document.seeds
    }
    return len(known) + len(declined)


def compile_plans(requests: Sequence[Request]) -> list[Plan]:
    """Check every combination, then lay out the stages of each cell; requests that `--only` empties are left out.

    Raises:
        InputError: k exceeds D, a method does not fit the resolution, a class is too small, no cell is left.
    """
    rows = [_entries(request) for request in requests]
    # One table of neighbours serves all plans on the same data, so it is as wide as the widest needs it.
    width = max(max(entry.method.largest_k, *entry.k_samples) for entries in rows for entry in entries)
    plans = [_compile(request, entries, width) for request, entries in zip(requests, rows, strict=True)]
    found = [plan for plan in plans if plan.cells]
    if not found:
        asked = ",".join(f"{key}={value}" for key, value in requests[0].options.only)
        raise InputError(f"--only {asked} leaves no cell; `prism-bench run NAME --dry-run` lists them")
    return found


def _entries(request: Request) -> list[Entry]:
    return [Entry.of(row, request.scale) for row in request.rows if row.variant is not None]


def _compile(request: Request, entries: Sequence[Entry], width: int) -> Plan:
    for entry in entries:
        _check(entry, request)
    layout = Layout(request, width)
    cells = tuple(
        layout.cell(entry, k_sample, seed)
        for entry in entries
        for k_sample in entry.k_samples
        for seed in request.options.seeds
        if _wanted(request, entry, k_sample, seed)
    )
    return Plan(request, cells, document(layout, cells))


def _check(entry: Entry, request: Request) -> None:
    method = entry.method
    _check_trainings(method, request)
    method.check_sampler(entry.sampler)
    if method.conditioning is not None:
        largest = max(method.largest_k, *entry.k_samples)
        method.conditioning.check(largest, len(request.parts.retrieval))


def _check_trainings(method: Method, request: Request) -> None:
    """The method, and all that are trained before it."""
    resolution = request.source.stage.dataset.resolution
    method.check(resolution)
    method.check_parts(request.parts)
    for seed in request.options.seeds:
        method.check_training(resolution, seed)
    if method.first is not None:
        _check_trainings(method.first, request)


def _wanted(request: Request, entry: Entry, k_sample: int, seed: int) -> bool:
    known = entry.facts(k_sample, seed)
    for key, value in request.options.only:
        if key not in (*known, *ONLY):
            raise InputError(f"--only {key}={value}: cells are selected by {', '.join((*known, *ONLY))}")
        if known.get(key) not in value.split("|"):
            return False
    return True
