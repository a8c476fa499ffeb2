"""Plans and records: what was asked for, and what each cell of it came to. The one definition of both files."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue

from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.analysis.schema.document import FILE_NAME, RECORD_NAME, REMEDY, Document, Model, read

Better = Literal["lower", "higher"]
Kind = Literal["table", "grid", "curves"]
Status = Literal["done", "failed", "blocked", "running"]
RecordName = Annotated[str, Field(pattern=RECORD_NAME)]


def _left_out(default: object) -> Any:
    """A field that is not written where it stands at its default: older plans have no such key, nor their digests."""
    return Field(default=default, exclude_if=lambda value: value == default)


def _once(*fields: str, complaint: str) -> AfterValidator:
    """A check that no two items of a list have the same values of these fields; the complaint names the first."""

    def check(items: tuple[Model, ...]) -> tuple[Model, ...]:
        for values, count in Counter(tuple(getattr(item, field) for field in fields) for item in items).items():
            if count > 1:
                raise ValueError(complaint.format(*values, count=count))
        return items

    return AfterValidator(check)


class Dataset(Model):
    """The images; `digest` is the key of their stage. `retrieval` and `train` count the images of D and X_train."""

    label: str
    digest: str
    resolution: int
    images: int
    retrieval: int
    train: int


class Value(Model):
    """One measured number, its floor (real against real images) and what identifies the way it was measured.

    `floor` is a mean over random splits, `floor_spread` the standard deviation between them. `standard_error`: of the
    value over the images that it is of, where the metric knows it.
    `group`: the further table that shows it, empty for the main one; `about`: what it is, for that table's caption.
    """

    name: str
    label: str
    value: float
    floor: float | None = None
    floor_n: int | None = None
    floor_spread: float | None = None
    standard_error: float | None = None
    n: int
    reference_n: int
    better: Better
    unit: str = ""
    fingerprint: str
    scale: str
    group: str = ""
    about: str = ""


class Declined(Model):
    """A metric that does not apply, and the reason."""

    metric: str
    reason: str


class Cost(Model):
    """Seconds of training and sampling, images seen in training and samples made, floating-point operations (a
    multiply and its add are two), highest memory, model file and database in bytes, and the parameters that take part
    in sampling; all trainings that a row rests on are counted. None where it is not known.
    """

    train_seconds: float | None = None
    sample_seconds: float | None = None
    images: int | None = None
    peak_bytes: int | None = None
    samples: int | None = None
    train_flops: float | None = None
    sample_flops: float | None = None
    active_parameters: int | None = None
    model_bytes: int | None = None
    database_bytes: int | None = None


class Sampling(Model):
    """How a cell was sampled; `k_sample` is 0 without conditioning."""

    sampler: dict[str, JsonValue]
    k_sample: int
    samples: int
    sample_seed: int


class Config(Model):
    """What a cell is made from: components as JSON objects, and the train seed."""

    method: dict[str, JsonValue]
    sampling: Sampling
    split: dict[str, JsonValue]
    dataset: dict[str, JsonValue]
    train_seed: int


class Record(Document):
    """What one cell came to. `stages` maps training, samples and each metric to its key in the store.

    `variant` and `row` are those of the table that wrote it first; others may show it too. `commit`: of the git
    repository in whose folder the command was typed, with the words "with changes" where it had some.
    """

    newest: ClassVar[int] = 2

    schema_version: Literal[2] = 2
    record: RecordName
    status: Status
    reason: str | None = None
    variant: str
    row: str
    seed: int
    scale: str
    dataset: Dataset
    config: Config
    values: Annotated[tuple[Value, ...], _once("name", complaint="the metric {!r} is there {count} times")]
    declined: tuple[Declined, ...]
    parameters: int | None
    cost: Cost
    stages: dict[str, str]
    environment: dict[str, str]
    commit: str | None = _left_out(None)

    @classmethod
    def upgraded(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 (0.4.0): a cell that failed has neither parameters nor costs."""
        return {"parameters": None, "cost": {}, **data}

    @property
    def why_declined(self) -> dict[str, str]:
        """A metric's name -> the reason why it does not apply."""
        return {declined.metric: declined.reason for declined in self.declined}


class Cell(Model):
    """One seed (and k_sample) of a row, and the name of its record.

    `kin` is the record's name that it would have with seed 0: cells that differ in their seed alone share it, whichever
    plan they stand in. Plans of earlier versions have none.
    """

    seed: int
    record: RecordName
    k_sample: int | None = _left_out(None)
    kin: RecordName | None = _left_out(None)


class QuotedNumber(Model):
    """A published number; `better` is None for a size or a time. `k_sample` is given where a row has several."""

    column: str
    metric: str = _left_out("FID")
    value: float
    better: Better | None = _left_out("lower")
    k_sample: int | None = _left_out(None)
    unit: str = _left_out("")


class PlanRow(Model):
    """One variant: `changes` maps a dotted field to its value in the base row and in this one.

    `declined` says why a row is not computed; `factors` names the parts of its method. `train_images` are those that it
    is trained on and `retrieval_images` those that it retrieves from, in plans whose table shows them.
    """

    id: str
    label: str
    trained_on: str
    changes: dict[str, tuple[JsonValue, JsonValue]] = Field(default_factory=dict)
    cells: Annotated[
        tuple[Cell, ...], _once("seed", "k_sample", complaint="seed {}, k_sample {} has more than one record")
    ]
    quoted: tuple[QuotedNumber, ...] = ()
    control: bool = False
    declined: str | None = None
    factors: dict[str, str] = Field(default_factory=dict)
    train_images: int | None = _left_out(None)
    retrieval_images: int | None = _left_out(None)


class Side(Model):
    """One side of a comparison; its cells may belong to another table."""

    label: str
    row: str
    k_sample: int | None
    cells: tuple[Cell, ...]


class Pair(Model):
    """What is claimed to be better than what, and everything in which the two methods differ."""

    better: Side
    worse: Side
    factors: tuple[str, ...]
    separable: bool = _left_out(False)
    """Whether the experiment has controls (`--controls`) that separate some of the factors."""


class Limit(Model):
    """A number that must stay below a bound. `metric`: how the metric's name starts, before its encoder.

    Tested only where another number, `condition`, is at least `least`.
    """

    sides: tuple[Side, ...]
    metric: str
    most: float
    condition: str
    least: float


class Outcome(Model):
    """What a claim is judged by: the name of a metric, and what that says (`of`)."""

    of: str
    metric: str


class Claim(Model):
    """A claim of the paper: all its pairs must hold, or its limit must not be passed.

    `outcomes`: each gives a verdict on the pairs; earlier plans name none, and are judged by their first metric.
    """

    id: str
    text: str
    source: str
    pairs: tuple[Pair, ...]
    limit: Limit | None = _left_out(None)
    outcomes: tuple[Outcome, ...] = _left_out(())

    @property
    def sides(self) -> tuple[Side, ...]:
        """Everything it speaks of."""
        limited = () if self.limit is None else self.limit.sides
        return (*(side for pair in self.pairs for side in (pair.better, pair.worse)), *limited)


class OpenChoice(Model):
    """A setting that the paper leaves open or has otherwise, or that its component does not describe.

    `path` is its name, `words` say what is open or differs, `rows` are the labels of the rows that have it, none: all.
    """

    path: str
    value: JsonValue
    status: Literal["open", "differs", "not described"]
    words: str = ""
    rows: tuple[str, ...] = ()


class Plan(Document):
    """What was asked for: rows, seeds, data, claims, and the choices in force. `plan` is its digest.

    `kind`: a table, a grid of samples without numbers, or curves over k_sample. `panel`: the paper's dataset where one
    experiment has a table for each; empty otherwise. `settings` and `only` are the options --set and --only. `ledger`,
    which is no part of the digest: what of the rows' methods, their sampling and the data is not as the paper says.
    """

    newest: ClassVar[int] = 2

    schema_version: Literal[2] = 2
    plan: str
    experiment: Annotated[str, Field(pattern=FILE_NAME)]
    kind: Kind = "table"
    panel: str = ""
    title: str
    paper_table: str | None = None
    quoted_source: str | None = None
    scale: str
    dataset: Dataset
    reference: str
    seeds: tuple[int, ...]
    split_seed: int
    settings: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    choices: dict[str, JsonValue] = Field(default_factory=dict)
    rows: Annotated[tuple[PlanRow, ...], _once("id", complaint="{count} rows have the id {!r}; give each its own")]
    claims: tuple[Claim, ...] = ()
    ledger: tuple[OpenChoice, ...] = _left_out(())
    command: str

    @property
    def name(self) -> str:
        """The experiment, and its panel where it has several."""
        return f"{self.experiment} {self.panel}".strip()

    @property
    def apart(self) -> str:
        """What tells its table from others of the experiment, where a report has several."""
        return ""

    @property
    def sources(self) -> "tuple[Plan, ...]":
        """The plans that it is of; see `join_plans`."""
        return (self,)

    @property
    def commands(self) -> tuple[str, ...]:
        """What computed it, each once."""
        return tuple(dict.fromkeys(plan.command for plan in self.sources))

    def asked_by(self, record: str) -> "Plan":
        """The first of its sources that has a cell."""
        return self._asked_by[record]

    @cached_property
    def _asked_by(self) -> "dict[str, Plan]":
        cells = ((it.record, plan) for plan in reversed(self.sources) for row in plan.rows for it in row.cells)
        return dict(cells)

    @property
    def records(self) -> tuple[str, ...]:
        """The names of the records of its cells and of its claims, each once."""
        shown = (cell.record for row in self.rows for cell in row.cells)
        claimed = (cell.record for claim in self.claims for side in claim.sides for cell in side.cells)
        return tuple(dict.fromkeys((*shown, *claimed)))


def load_plan(source: Path | Mapping[str, object]) -> Plan:
    """A plan from its JSON file or from the decoded object; raises what `read` raises."""
    return read(Plan, source)


def load_record(source: Path | Mapping[str, object]) -> Record:
    """A record from its JSON file or from the decoded object; raises what `read` raises."""
    return read(Record, source)


def load_records(store: Path, plan: Plan) -> dict[str, Record]:
    """The records of a plan and of its claims that are there: name -> Record, from <store>/records/<name>.json.

    In place of one that cannot be read, or is another's, one of a failed cell says so.

    Raises:
        NewerSchemaError: a newer program wrote one.
    """
    asked = {cell.record: (row.id, row.label, cell) for row in plan.rows for cell in row.cells}
    for claim in plan.claims:
        for side in claim.sides:
            asked = {cell.record: (side.row, side.label, cell) for cell in side.cells} | asked
    found = {}
    for name, (row, label, cell) in sorted(asked.items()):
        path = store / "records" / f"{name}.json"
        if path.exists():
            try:
                found[name] = load_record(path)
                if found[name].record != name:
                    raise AnalysisError(f"{path}: holds the record {found[name].record}; {REMEDY}")
            except NewerSchemaError:
                raise
            except AnalysisError as error:
                found[name] = _unreadable(plan, row, label, cell, str(error))
    return found


def _unreadable(plan: Plan, row: str, label: str, cell: Cell, reason: str) -> Record:
    """What stands for a record whose file is damaged: nothing is known but what was asked."""
    sampling = Sampling(sampler={}, k_sample=cell.k_sample or 0, samples=0, sample_seed=0)
    return Record(
        record=cell.record,
        status="failed",
        reason=reason,
        variant=label,
        row=row,
        seed=cell.seed,
        scale=plan.scale,
        dataset=plan.dataset,
        config=Config(method={}, sampling=sampling, split={}, dataset={}, train_seed=cell.seed),
        values=(),
        declined=(),
        parameters=None,
        cost=Cost(),
        stages={},
        environment={},
    )


def index_records(records: Iterable[Record]) -> dict[str, Record]:
    """Records by name; AnalysisError where two of one name say different things."""
    found: dict[str, Record] = {}
    for record in records:
        if found.setdefault(record.record, record) != record:
            raise AnalysisError(f"record {record.record} was given twice with different contents; keep one of them")
    return found
