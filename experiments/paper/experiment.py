"""What an experiment consists of: rows, the paper's numbers for them, and the paper's claims about them."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

from prism_bench.analysis.schema.records import Better
from prism_bench.prism.errors import InputError
from prism_bench.prism.metrics.coherence import Coherence
from prism_bench.prism.metrics.far_dependence import FarDependence
from prism_bench.prism.metrics.frechet import FrechetDistance
from prism_bench.prism.metrics.memorisation import COPIED_QUERY, NEAR_D
from prism_bench.prism.variants.scale import Scale, ScalePart
from prism_bench.prism.variants.variant import Variant


class Quoted(NamedTuple):
    """A number of the paper's, never merged with a measured one. `k_sample` where a row has several.

    `better` is None for what is no metric (a size, a time); `unit` is then parameters, images or h.
    """

    column: str
    value: float
    k_sample: int | None = None
    metric: str = "FID"
    better: Better | None = "lower"
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: a variant, the numbers of neighbours it is sampled with (its own where empty), the paper's numbers.

    declined: why the row is not computed; it then has no variant, and stands for one training of a plan.
    """

    id: str
    label: str
    variant: Variant | None
    k_sample: tuple[int, ...] = ()
    quoted: tuple[Quoted, ...] = ()
    declined: str | None = None
    control: bool = False

    @classmethod
    def of(cls, variant: Variant, *quoted: Quoted) -> "Row":
        """A variant under its own name and label."""
        return cls(id=variant.name, label=variant.label, variant=variant, quoted=tuple(quoted), control=variant.control)

    def if_applies(self, scale: Scale) -> "Row":
        """The row; without its variant, and with the reason, where there can be none at this scale."""
        reason = None if self.variant is None else self.variant.applies(scale, scale.dataset)
        return self if reason is None else replace(self, variant=None, declined=reason)


class RowAt(NamedTuple):
    """A row at one k_sample (its own where None), as claims compare it. It may belong to another table."""

    row: Row
    k_sample: int | None = None


class Limit(NamedTuple):
    """A number that must stay below a bound for every row. metric: how its name starts, before the encoder's.

    Tested only where another number (`condition`) reaches `least`: below that, staying under the bound means nothing.
    """

    rows: tuple[RowAt, ...]
    metric: str
    most: float
    condition: str
    least: float


def _distance(scale: Scale) -> str | None:
    """The first Fréchet distance of a scale."""
    return next((it.encoder.frechet_name[0] for it in scale.metrics if isinstance(it, FrechetDistance)), None)


def _coherence(scale: Scale) -> str | None:
    """Far correlation where the data's truth is known, far dependence otherwise."""
    if any(isinstance(it, Coherence) and it.applies(scale.dataset) is None for it in scale.metrics):
        return Coherence.outcome
    return FarDependence.outcome if any(isinstance(it, FarDependence) for it in scale.metrics) else None


class Outcome(NamedTuple):
    """What a claim is judged by: what it says, and the name of its number at a scale (None: it is not measured)."""

    of: str
    metric: Callable[[Scale], str | None]


APPEARANCE = Outcome("appearance", _distance)
COHERENCE = Outcome("global coherence", _coherence)
BOTH = (APPEARANCE, COHERENCE)
"""What the paper's claims speak of: that samples look real, and that far parts of an image belong together."""


class Claim(NamedTuple):
    """What the paper claims: as pairs (better, worse) that must all hold, or as a limit that must not be passed.

    outcomes: what pairs are judged by, each with a verdict of its own; they share the 5%, and stand in the plan before
    anything runs. A limit is judged by its own number.
    """

    id: str
    text: str
    source: str
    pairs: tuple[tuple[RowAt, RowAt], ...] = ()
    limit: Limit | None = None
    outcomes: tuple[Outcome, ...] = BOTH


COPIES = 2.0
"""Percent of samples that may count as copies of their pseudo-query: twice the share of real images that count."""
NEAR = 25.0
"""Percent of samples that must come as near to D as half of the real images do: samples unlike any image copy none."""


def no_copies(*rows: Row) -> Claim:
    """Section 5.4 of the paper, as a limit on the copies of the pseudo-query."""
    text = "Samples do not replicate the real image that conditions them"
    limit = Limit(tuple(RowAt(row) for row in rows), COPIED_QUERY, COPIES, NEAR_D, NEAR)
    return Claim("no-copies", text, "section 5.4", limit=limit)


@dataclass(frozen=True, kw_only=True)
class Experiment(ScalePart, family="experiment"):
    """A table or figure. `panels` are the paper's datasets it shows; its fields are settings of the scale.

    At scale `paper` every panel is a table of its own on its own data. At the other scales there is one set of images:
    the panels' rows are merged, and a row carries the paper's numbers of all of them.

    kind: a table of measured cells; a grid of samples (nothing is measured); or curves drawn from a table's cells.
    """

    title: ClassVar[str]
    paper_table: ClassVar[str]
    quoted_source: ClassVar[str] = ""
    kind: ClassVar[Literal["table", "grid", "curves"]] = "table"
    set_sizes: ClassVar[bool] = False
    """Whether the table shows how many images each row is trained on and retrieves from."""
    panels: ClassVar[tuple[str, ...]]

    @property
    def slug(self) -> str:
        """What its plans and files are called."""
        return self.name

    @abstractmethod
    def rows(self, panel: str, scale: Scale) -> tuple[Row, ...]:
        """The rows on one of the paper's datasets, in the paper's order."""

    def claims(self, panel: str, scale: Scale) -> tuple[Claim, ...]:
        """What the paper claims of these rows."""
        return ()

    def controls(self) -> tuple[Row, ...]:
        """Rows that separate what the paper's rows change together, and real images; added by `--controls`."""
        return ()


def merged_rows(experiment: Experiment, panels: tuple[str, ...], scale: Scale) -> tuple[Row, ...]:
    """The rows of several panels as those of one: equal rows once, with the numbers of all.

    Raises:
        InputError: two rows of one id are different variants.
    """
    merged: dict[str, Row] = {}
    for panel in panels:
        for row in experiment.rows(panel, scale):
            merged[row.id] = _merge(merged.get(row.id, row), row)
    return tuple(merged.values())


def _merge(row: Row, same: Row) -> Row:
    if (row.variant, row.k_sample) != (same.variant, same.k_sample):
        raise InputError(f"two rows of one table are called {row.id!r} but differ; give each its own id")
    return replace(row, quoted=tuple(dict.fromkeys((*row.quoted, *same.quoted))))
