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
    """One point that was tried, or is being tried."""

    number: int
    """Its place in the study, from 0."""
    point: Point
    """A value for each parameter, by its name on the command line."""
    status: Status
    """What became of it."""
    values: dict[str, float] = Field(default_factory=dict)
    """The metric by seed, in its unit; none where the trial has not ended well."""
    proxy: float | None = None
    """The metric of a short training; null where there was none."""
    seconds: float | None = None
    """Time that it took, seconds."""
    records: dict[str, RecordName] = Field(default_factory=dict)
    """Names of its cells' records by seed."""
    reason: str | None = None
    """Why it failed or was given up; null otherwise."""
    command: str = ""
    """What uses the point, as it is typed; empty where the trial has not ended well."""

    @property
    def by_seed(self) -> dict[int, float]:
        """Its values by rising seed."""
        return {int(seed): self.values[seed] for seed in sorted(self.values, key=int)}


class Study(Document):
    """What was tuned, and its trials by number."""

    newest: ClassVar[int] = 1

    schema_version: Literal[1] = 1
    """Version of this schema."""
    study: str
    """Its name."""
    target: Annotated[str, Field(pattern=FILE_NAME)]
    """What was tuned, by its name on the command line."""
    parameters: tuple[str, ...]
    """The parameters that were searched."""
    variant: str
    """The row whose method was tuned."""
    metric: str
    """Name of the metric that was made better."""
    label: str
    """What tables call the metric."""
    better: Better
    """Where the metric is better."""
    scale: str
    """Name of the scale."""
    dataset: Dataset
    """The images."""
    samples: int
    """Images that each cell samples."""
    seeds: tuple[int, ...]
    """Seeds of each trial, 0 or more."""
    asked: dict[str, JsonValue] = Field(default_factory=dict)
    """What was asked for: option -> value."""
    command: str
    """The command that computed or resumed it, as it is typed."""
    trials: tuple[Trial, ...]
    """Its trials by number."""

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
