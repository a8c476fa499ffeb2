"""A study of `prism-bench tune`: what was asked, and what every trial came to."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.analysis.schema.document import FILE_NAME, Document, Model, read
from prism_bench.analysis.schema.records import Better, Dataset, RecordName

Point = dict[str, int | float | str]
"""A value for each parameter, by its name on the command line."""
Status = Literal["complete", "pruned", "fail", "running", "waiting"]


class Trial(Model):
    """One point. `values` are those of the metric by seed, none where it has not ended well; `proxy` is that of a short
    training, `records` name the cells by seed, and `command` uses the point.
    """

    number: int
    point: Point
    status: Status
    values: dict[str, float] = Field(default_factory=dict)
    proxy: float | None = None
    seconds: float | None = None
    records: dict[str, RecordName] = Field(default_factory=dict)
    reason: str | None = None
    command: str = ""

    @property
    def by_seed(self) -> dict[int, float]:
        """Its values by rising seed."""
        return {int(seed): self.values[seed] for seed in sorted(self.values, key=int)}


class Study(Document):
    """What was tuned, and its trials by number. `study` is its name, `command` the one that computed or resumed it."""

    newest: ClassVar[int] = 1

    schema_version: Literal[1] = 1
    study: str
    target: Annotated[str, Field(pattern=FILE_NAME)]
    parameters: tuple[str, ...]
    variant: str
    metric: str
    label: str
    better: Better
    scale: str
    dataset: Dataset
    samples: int
    seeds: tuple[int, ...]
    asked: dict[str, JsonValue] = Field(default_factory=dict)
    command: str
    trials: tuple[Trial, ...]

    @property
    def finished(self) -> list[Trial]:
        """Trials with a value, the best first; of equal ones the earlier."""
        ended = [trial for trial in self.trials if trial.values]
        sign = 1 if self.better == "lower" else -1
        return sorted(ended, key=lambda trial: sign * sum(trial.values.values()) / len(trial.values))


def study_path(store: Path, name: str) -> Path:
    """The file of a study in a store."""
    return store / "tuning" / f"{name.replace('/', '_')}.json"


def load_studies(store: Path) -> tuple[list[Study], list[str]]:
    """The studies of a store by name, and what is wrong with files that cannot be read.

    Raises:
        NewerSchemaError: a newer program wrote one.
    """
    found, faults = [], []
    for path in sorted(store.glob("tuning/*.json")):
        try:
            found.append(read(Study, path))
        except NewerSchemaError:
            raise
        except AnalysisError as error:
            faults.append(str(error))
    return found, faults
