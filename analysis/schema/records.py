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
    """The images that a cell is made from and measured against."""

    label: str
    """What captions call them."""
    digest: str
    """The key of their stage: equal images, labels and class names have one."""
    resolution: int
    """Pixels along an edge of an image, which is square."""
    images: int
    """Images of the dataset X, at least 2."""
    retrieval: int
    """Those of them in the retrieval set D."""
    train: int
    """Those of them in X_train; with D, all of X."""


class Value(Model):
    """One measured number, its floor (real against real images) and what identifies the way it was measured."""

    name: str
    """The metric, its encoder included: `fd_efficientnet_lite0`."""
    label: str
    """What tables call the metric."""
    value: float
    """The number, in `unit`; finite."""
    floor: float | None = None
    """The real-data baseline: the same of real images in place of generated ones, in `unit`, mean over random splits of
    them; null where there are none to draw from."""
    floor_n: int | None = None
    """Real images in place of generated ones in the baseline, in each split."""
    floor_spread: float | None = None
    """Standard deviation of the baseline between the splits, in `unit`."""
    standard_error: float | None = None
    """Of the value over the images that it is of, in `unit`; null where the metric does not know it."""
    n: int
    """Generated images that were measured."""
    reference_n: int
    """Real images that they were measured against; 0 where there is no such set."""
    better: Better
    """Where the metric is better: at lower or at higher values."""
    unit: str = ""
    """Unit of the value (`%`); empty where it has none."""
    fingerprint: str
    """Identifies the way of measuring: only values of one fingerprint compare."""
    scale: str
    """Name of the scale at which it was measured."""
    group: str = ""
    """The further table that shows it; empty for the main one."""
    about: str = ""
    """What it is, for the caption of that table."""


class Declined(Model):
    """A metric that does not apply, and the reason."""

    metric: str
    """Name of the metric."""
    reason: str
    """Why it does not apply, in words."""


class Cost(Model):
    """What a cell took; all trainings that its row rests on are counted. Null where it is not known."""

    train_seconds: float | None = None
    """Time of all trainings, seconds."""
    sample_seconds: float | None = None
    """Time of the sampling, seconds."""
    images: int | None = None
    """Images, or patches of them, seen in training, repeats counted."""
    peak_bytes: int | None = None
    """Highest memory of the trainings, bytes: the GPU's where one was used, else the process's."""
    samples: int | None = None
    """Images that were sampled."""
    train_flops: float | None = None
    """Floating-point operations of the training; a multiply and its add are two."""
    sample_flops: float | None = None
    """Floating-point operations of the sampling; a multiply and its add are two."""
    active_parameters: int | None = None
    """Parameters that take part in sampling."""
    model_bytes: int | None = None
    """Size of the model's file, bytes."""
    database_bytes: int | None = None
    """Size of what neighbours are looked up in at sampling, bytes."""


class Sampling(Model):
    """How a cell was sampled."""

    sampler: dict[str, JsonValue]
    """The sampler as a component: its name under `component`, and its fields."""
    k_sample: int
    """Neighbours at sampling; 0 without conditioning."""
    samples: int
    """Images that are sampled."""
    sample_seed: int
    """Seed of the sampling noise, 0 or more."""


class Config(Model):
    """What a cell is made from: components as JSON objects, and the train seed."""

    method: dict[str, JsonValue]
    """The method as a component: its name under `component`, and its fields, components among them."""
    sampling: Sampling
    """How it was sampled."""
    split: dict[str, JsonValue]
    """The partition of X into D and X_train, as a component."""
    dataset: dict[str, JsonValue]
    """The images, as a component; those of files by the digest of what was decoded, without a path."""
    train_seed: int
    """Seed of the training, 0 or more."""


class Record(Document):
    """What one cell came to."""

    newest: ClassVar[int] = 2

    schema_version: Literal[2] = 2
    """Version of this schema; a file without it is of version 1."""
    record: RecordName
    """Its name, the hash of all that it rests on; the file is `records/NAME.json`."""
    status: Status
    """`done` with values; otherwise how far it has come."""
    reason: str | None = None
    """Why it failed or waits; null where it is done."""
    variant: str
    """What tables call its row, in the plan that wrote it first; others may show it too."""
    row: str
    """The id of that row, as `--only variant=` takes it."""
    seed: int
    """Seed of the training and of the sampling noise, 0 or more."""
    scale: str
    """Name of the scale."""
    dataset: Dataset
    """The images."""
    config: Config
    """What it is made from, in full."""
    values: Annotated[tuple[Value, ...], _once("name", complaint="the metric {!r} is there {count} times")]
    """What was measured, each metric once; empty where it is not done."""
    declined: tuple[Declined, ...]
    """Metrics that do not apply to it."""
    parameters: int | None
    """Parameters of the networks; null where it is not done."""
    cost: Cost
    """What it took."""
    stages: dict[str, str]
    """The key in the store of `training`, `samples` and each `metric:NAME`."""
    environment: dict[str, str]
    """Versions of Python and of libraries, and the system; no path, host or user."""
    commit: str | None = _left_out(None)
    """Of the git repository in whose folder the command was typed, with the words "with changes" where it had some; no
    key where there is none."""

    @classmethod
    def upgraded(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 (0.4.0): a cell that failed has neither parameters nor costs."""
        return {"parameters": None, "cost": {}, **data}

    @property
    def why_declined(self) -> dict[str, str]:
        """A metric's name -> the reason why it does not apply."""
        return {declined.metric: declined.reason for declined in self.declined}


class Cell(Model):
    """One seed (and k_sample) of a row, and the name of its record."""

    seed: int
    """Seed of the training and of the sampling noise, 0 or more."""
    record: RecordName
    """The name of its record, which need not be there yet."""
    k_sample: int | None = _left_out(None)
    """Neighbours at sampling; 0 without conditioning; no key in plans of earlier versions."""
    kin: RecordName | None = _left_out(None)
    """The record's name that it would have with seed 0: cells that differ in their seed alone share it, whichever plan
    they stand in. No key in plans of earlier versions."""


class QuotedNumber(Model):
    """A published number."""

    column: str
    """The column of the publication's table that it stands in."""
    metric: str = _left_out("FID")
    """What was measured, as the publication calls it; no key for FID."""
    value: float
    """The number as it is printed, in `unit`."""
    better: Better | None = _left_out("lower")
    """Where the metric is better; null for a size or a time; no key for lower."""
    k_sample: int | None = _left_out(None)
    """Neighbours at sampling, where a row has several; no key otherwise."""
    unit: str = _left_out("")
    """`parameters` or `images` for a size, `h` for a time; no key for a number without a unit."""


class PlanRow(Model):
    """One variant."""

    id: str
    """Its name, as `--only variant=` takes it; each row has its own."""
    label: str
    """What tables call it."""
    trained_on: str
    """The images that it is trained on, in words; empty for a row that is not computed."""
    changes: dict[str, tuple[JsonValue, JsonValue]] = Field(default_factory=dict)
    """A dotted field of the method -> its value in the base row and in this one."""
    cells: Annotated[
        tuple[Cell, ...], _once("seed", "k_sample", complaint="seed {}, k_sample {} has more than one record")
    ]
    """Its cells, each pair of seed and k_sample once; none for a row that is not computed."""
    quoted: tuple[QuotedNumber, ...] = ()
    """Published numbers of it."""
    control: bool = False
    """Whether the paper's table does not have it."""
    declined: str | None = None
    """Why it is not computed; null where it is."""
    factors: dict[str, str] = Field(default_factory=dict)
    """The parts of its method: field -> member; those that cannot matter are left out."""
    train_images: int | None = _left_out(None)
    """Images that it is trained on; no key where its table does not show it."""
    retrieval_images: int | None = _left_out(None)
    """Images that it retrieves from; no key where its table does not show it."""


class Side(Model):
    """One side of a comparison; its cells may belong to another table."""

    label: str
    """What tables call its row."""
    row: str
    """The id of its row."""
    k_sample: int | None
    """Neighbours at sampling, 0 without conditioning; null where it is not said."""
    cells: tuple[Cell, ...]
    """Its cells, one for each seed."""


class Pair(Model):
    """What is claimed to be better than what."""

    better: Side
    """The side that is claimed to be better."""
    worse: Side
    """The side that it is claimed to be better than."""
    factors: tuple[str, ...]
    """Everything in which the two methods differ, as far as it can change a result."""
    separable: bool = _left_out(False)
    """Whether the experiment has controls (`--controls`) that separate some of the factors."""


class Limit(Model):
    """A number that must stay below a bound, tested only where another number is large enough."""

    sides: tuple[Side, ...]
    """What it is tested on."""
    metric: str
    """How the name of the metric starts, before its encoder."""
    most: float
    """The bound, in the metric's unit."""
    condition: str
    """How the name of the other number's metric starts."""
    least: float
    """What that must reach for the test, in its unit."""


class Outcome(Model):
    """What a claim is judged by."""

    of: str
    """What the metric says: appearance, global coherence."""
    metric: str
    """The name of the metric."""


class Claim(Model):
    """A claim of the paper: all its pairs must hold, or its limit must not be passed."""

    id: str
    """Its name within the plan."""
    text: str
    """What is claimed, in a sentence."""
    source: str
    """Where the paper says so."""
    pairs: tuple[Pair, ...]
    """The comparisons that must all hold; none for a claim that is a limit."""
    limit: Limit | None = _left_out(None)
    """The bound that must not be passed; no key for a claim of pairs."""
    outcomes: tuple[Outcome, ...] = _left_out(())
    """What judges the pairs, each with a verdict of its own. Earlier plans name none (no key), and are judged by their
    first metric."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """Everything it speaks of."""
        limited = () if self.limit is None else self.limit.sides
        return (*(side for pair in self.pairs for side in (pair.better, pair.worse)), *limited)


class OpenChoice(Model):
    """A setting that the paper leaves open or has otherwise, or that its component does not describe."""

    path: str
    """Its name, dotted."""
    value: JsonValue
    """The value in force."""
    status: Literal["open", "differs", "not described"]
    """Whether the paper leaves it open, has it otherwise, or the component says nothing of it."""
    words: str = ""
    """What is open, or how it differs."""
    rows: tuple[str, ...] = ()
    """Labels of the rows that have it; empty: all."""


class Plan(Document):
    """What was asked for: rows, seeds, data, claims, and the choices in force."""

    newest: ClassVar[int] = 2

    schema_version: Literal[2] = 2
    """Version of this schema; a file without it is of version 1."""
    plan: str
    """Its digest, 32 hexadecimal digits, of which neither command nor ledger is a part; the file is
    `experiments/EXPERIMENT/PLAN.json`."""
    experiment: Annotated[str, Field(pattern=FILE_NAME)]
    """Name of the experiment."""
    kind: Kind = "table"
    """A table, a grid of samples without numbers, or curves over k_sample."""
    panel: str = ""
    """The paper's dataset where one experiment has a table for each; empty otherwise."""
    title: str
    """What captions call it."""
    paper_table: str | None = None
    """The table or figure of the paper that it repeats; null where there is none."""
    quoted_source: str | None = None
    """Where its published numbers come from; null where it quotes none."""
    scale: str
    """Name of the scale."""
    dataset: Dataset
    """The images."""
    reference: str
    """The real images that samples are measured against, in words."""
    seeds: tuple[int, ...]
    """Seeds of every row, 0 or more, in the order of the table."""
    split_seed: int
    """Seed of the partition of X into D and X_train, 0 or more."""
    settings: tuple[str, ...] = ()
    """The options `--set`, each `FIELD=VALUE`."""
    only: tuple[str, ...] = ()
    """The options `--only`, each `KEY=VALUE`."""
    choices: dict[str, JsonValue] = Field(default_factory=dict)
    """What was chosen and can be chosen otherwise: its name, with the option in brackets -> its value."""
    rows: Annotated[tuple[PlanRow, ...], _once("id", complaint="{count} rows have the id {!r}; give each its own")]
    """The rows of the table, in its order."""
    claims: tuple[Claim, ...] = ()
    """The claims of the paper that it can judge."""
    ledger: tuple[OpenChoice, ...] = _left_out(())
    """What of the rows' methods, their sampling and the data is not as the paper says; no part of the digest."""
    command: str
    """The command that asked for it, as it is typed."""

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
