"""Plans and records as typed values: what was asked for, and what each cell of it came to."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.schema.json_fields import Fields, as_object, read_object

Better = Literal["lower", "higher"]
Kind = Literal["table", "grid", "curves"]
Status = Literal["done", "failed", "blocked", "running"]
BETTER: dict[str, Better] = {"lower": "lower", "higher": "higher"}
KINDS: dict[str, Kind] = {"table": "table", "grid": "grid", "curves": "curves"}
STATUSES: dict[str, Status] = {"done": "done", "failed": "failed", "blocked": "blocked", "running": "running"}


@dataclass(frozen=True, kw_only=True)
class Value:
    """One measured number, its floor (real against real images) and what identifies the way it was measured.

    `group`: the further table that shows it, empty for the main one; `about`: what it is, for that table's caption.
    """

    name: str
    label: str
    value: float
    floor: float | None
    floor_n: int | None
    n: int
    reference_n: int
    better: Better
    unit: str
    fingerprint: str
    scale: str
    group: str = ""
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one cell came to. `declined` maps a metric's name to the reason why it does not apply.

    Costs: seconds of training and sampling, images seen in training and samples made, floating-point operations (a
    multiply and its add are two), highest memory, model file and database in bytes, and the parameters that take part
    in sampling; all trainings that a row rests on are counted. `stages` maps training, samples and each
    metric to its key in the store.
    """

    record: str
    status: Status
    reason: str | None
    values: tuple[Value, ...]
    declined: Mapping[str, str]
    parameters: int | None
    train_seconds: float | None
    sample_seconds: float | None = None
    images: int | None = None
    train_flops: float | None = None
    sample_flops: float | None = None
    peak_bytes: int | None = None
    samples: int | None = None
    model_bytes: int | None = None
    active_parameters: int | None = None
    database_bytes: int | None = None
    stages: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One seed (and k_sample) of a row, and the name of its record."""

    seed: int
    record: str
    k_sample: int | None


@dataclass(frozen=True, kw_only=True)
class QuotedNumber:
    """A published number. `k_sample` is given where a row has several."""

    column: str
    metric: str
    value: float
    better: Better
    k_sample: int | None


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """One variant: `changes` maps a dotted field to its value in the base row and in this one.

    `declined` says why a row is not computed; `factors` names the parts of its method.
    """

    id: str
    label: str
    trained_on: str
    changes: Mapping[str, tuple[object, object]]
    cells: tuple[Cell, ...]
    quoted: tuple[QuotedNumber, ...]
    control: bool
    declined: str | None = None
    factors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison; its cells may belong to another table."""

    label: str
    row: str
    k_sample: int | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What is claimed to be better than what, and everything in which the two methods differ."""

    better: Side
    worse: Side
    factors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A number that must stay below a bound. `metric`: how the metric's name starts, before its encoder.

    Tested only where another number, `condition`, is at least `least`.
    """

    sides: tuple[Side, ...]
    metric: str
    most: float
    condition: str
    least: float


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of the paper: all its pairs must hold, or its limit must not be passed."""

    id: str
    text: str
    source: str
    pairs: tuple[Pair, ...]
    limit: Limit | None = None

    @property
    def sides(self) -> tuple[Side, ...]:
        """Everything it speaks of."""
        own = () if self.limit is None else self.limit.sides
        return (*(side for pair in self.pairs for side in (pair.better, pair.worse)), *own)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was asked for: rows, seeds, data, claims, and the choices in force.

    `kind`: a table, a grid of samples without numbers, or curves over k_sample. `panel`: the paper's dataset where one
    experiment has a table for each; empty otherwise.
    """

    experiment: str
    title: str
    paper_table: str | None
    scale: str
    dataset: str
    resolution: int
    images: int
    retrieval: int
    train: int
    seeds: tuple[int, ...]
    split_seed: int
    command: str
    reference: str
    choices: Mapping[str, object]
    quoted_source: str | None
    rows: tuple[PlanRow, ...]
    kind: Kind = "table"
    panel: str = ""
    claims: tuple[Claim, ...] = ()


def load_plan(source: Path | Mapping[str, object]) -> Plan:
    """A plan from its JSON file or from the decoded object.

    Raises:
        AnalysisError: a key is missing or of the wrong kind, or two rows share an id.
    """
    fields = read_object(source) if isinstance(source, Path) else as_object(source, "plan")
    dataset = fields.nested("dataset")
    experiment = fields.text("experiment")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", experiment):
        raise AnalysisError(f"{fields.where}: 'experiment' names files, so letters, digits, . _ - only: {experiment!r}")
    return Plan(
        experiment=experiment,
        title=fields.text("title"),
        paper_table=fields.optional_text("paper_table"),
        scale=fields.text("scale"),
        dataset=dataset.text("label"),
        resolution=dataset.whole("resolution"),
        images=dataset.whole("images"),
        retrieval=dataset.whole("retrieval"),
        train=dataset.whole("train"),
        seeds=_seeds(fields),
        split_seed=fields.whole("split_seed"),
        command=fields.text("command"),
        reference=fields.text("reference"),
        choices=fields.mapping("choices"),
        quoted_source=fields.optional_text("quoted_source"),
        rows=_distinct([_row(row) for row in fields.objects("rows")], fields.where),
        kind=KINDS[fields.choice("kind", KINDS)] if "kind" in fields.data else "table",
        panel=fields.optional_text("panel") or "",
        claims=tuple(_claim(claim) for claim in fields.objects("claims")),
    )


def load_records(store: Path, plan: Plan) -> dict[str, Record]:
    """The records of a plan and of its claims that are there: name -> Record, from <store>/records/<name>.json.

    Raises:
        AnalysisError: a record is malformed, or is not the one its file name says.
    """
    found = {}
    sides = [side for claim in plan.claims for side in claim.sides]
    cells = [cell for row in plan.rows for cell in row.cells] + [cell for side in sides for cell in side.cells]
    for name in sorted({cell.record for cell in cells}):
        path = store / "records" / f"{name}.json"
        if path.is_file():
            found[name] = record_from(read_object(path))
            if found[name].record != name:
                raise AnalysisError(f"{path}: holds the record {found[name].record}; delete it and run the cell again")
    return found


def index_records(records: Iterable[Record]) -> dict[str, Record]:
    """Records by name; AnalysisError where two of one name say different things."""
    found: dict[str, Record] = {}
    for record in records:
        if found.setdefault(record.record, record) != record:
            raise AnalysisError(f"record {record.record} was given twice with different contents; keep one of them")
    return found


def record_from(fields: Fields) -> Record:
    """A record from its decoded JSON object; AnalysisError where a key is missing or of the wrong kind."""
    status = STATUSES[fields.choice("status", STATUSES)]
    values = tuple(_value(value) for value in fields.objects("values"))
    names = [value.name for value in values]
    for name in names:
        if names.count(name) > 1:
            raise AnalysisError(f"{fields.where}: the metric {name!r} is there {names.count(name)} times")
    cost = Fields(where=f"{fields.where}: cost", data=fields.mapping("cost"))
    return Record(
        record=fields.text("record"),
        status=status,
        reason=fields.optional_text("reason"),
        values=values,
        declined={item.text("metric"): item.text("reason") for item in fields.objects("declined")},
        parameters=fields.optional_whole("parameters"),
        train_seconds=cost.optional_number("train_seconds"),
        sample_seconds=cost.optional_number("sample_seconds"),
        images=cost.optional_whole("images"),
        train_flops=cost.optional_number("train_flops"),
        sample_flops=cost.optional_number("sample_flops"),
        peak_bytes=cost.optional_whole("peak_bytes"),
        samples=cost.optional_whole("samples"),
        model_bytes=cost.optional_whole("model_bytes"),
        active_parameters=cost.optional_whole("active_parameters"),
        database_bytes=cost.optional_whole("database_bytes"),
        stages=fields.words("stages"),
        environment=fields.words("environment"),
    )


def _value(fields: Fields) -> Value:
    return Value(
        name=fields.text("name"),
        label=fields.text("label"),
        value=fields.number("value"),
        floor=fields.optional_number("floor"),
        floor_n=fields.optional_whole("floor_n"),
        n=fields.whole("n"),
        reference_n=fields.whole("reference_n"),
        better=BETTER[fields.choice("better", BETTER)],
        unit=fields.optional_text("unit") or "",
        fingerprint=fields.text("fingerprint"),
        scale=fields.text("scale"),
        group=fields.optional_text("group") or "",
        about=fields.optional_text("about") or "",
    )


def _row(fields: Fields) -> PlanRow:
    changes: dict[str, tuple[object, object]] = {}
    for path, pair in fields.mapping("changes").items():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise AnalysisError(f"{fields.where}: changes[{path!r}] must be [before, after], found {pair!r}")
        changes[path] = (pair[0], pair[1])
    row = PlanRow(
        id=fields.text("id"),
        label=fields.text("label"),
        trained_on=fields.text("trained_on"),
        changes=changes,
        cells=tuple(_cell(cell) for cell in fields.objects("cells")),
        quoted=tuple(_quoted(number) for number in fields.objects("quoted")),
        control=fields.flag("control"),
        declined=fields.optional_text("declined"),
        factors=fields.words("factors"),
    )
    places = [(cell.seed, cell.k_sample) for cell in row.cells]
    for seed, k_sample in places:
        if places.count((seed, k_sample)) > 1:
            raise AnalysisError(f"{fields.where}: seed {seed}, k_sample {k_sample} has more than one record")
    return row


def _claim(fields: Fields) -> Claim:
    pairs = [
        Pair(
            better=_side(pair.nested("better")),
            worse=_side(pair.nested("worse")),
            factors=tuple(str(name) for name in pair.array("factors")),
        )
        for pair in fields.objects("pairs")
    ]
    return Claim(
        id=fields.text("id"),
        text=fields.text("text"),
        source=fields.text("source"),
        pairs=tuple(pairs),
        limit=_limit(fields.nested("limit")) if fields.data.get("limit") is not None else None,
    )


def _limit(fields: Fields) -> Limit:
    sides = tuple(_side(side) for side in fields.objects("sides"))
    return Limit(
        sides=sides,
        metric=fields.text("metric"),
        most=fields.number("most"),
        condition=fields.text("condition"),
        least=fields.number("least"),
    )


def _side(fields: Fields) -> Side:
    return Side(
        label=fields.text("label"),
        row=fields.text("row"),
        k_sample=fields.optional_whole("k_sample"),
        cells=tuple(_cell(cell) for cell in fields.objects("cells")),
    )


def _cell(fields: Fields) -> Cell:
    record = fields.text("record")
    if not re.fullmatch(r"[0-9A-Za-z]+", record):
        raise AnalysisError(f"{fields.where}: 'record' must be letters and digits only, found {record!r}")
    return Cell(seed=fields.whole("seed"), record=record, k_sample=fields.optional_whole("k_sample"))


def _quoted(fields: Fields) -> QuotedNumber:
    return QuotedNumber(
        column=fields.text("column"),
        metric=fields.optional_text("metric") or "FID",
        value=fields.number("value"),
        better=BETTER[fields.choice("better", BETTER)] if "better" in fields.data else "lower",
        k_sample=fields.optional_whole("k_sample"),
    )


def _seeds(fields: Fields) -> tuple[int, ...]:
    seeds = []
    for item in fields.array("seeds"):
        if not isinstance(item, int) or isinstance(item, bool):
            raise AnalysisError(f"{fields.where}: 'seeds' must hold whole numbers, found {item!r}")
        seeds.append(item)
    return tuple(seeds)


def _distinct(rows: list[PlanRow], where: str) -> tuple[PlanRow, ...]:
    ids = [row.id for row in rows]
    for name in ids:
        if ids.count(name) > 1:
            raise AnalysisError(f"{where}: {ids.count(name)} rows have the id {name!r}; give each its own")
    return tuple(rows)
