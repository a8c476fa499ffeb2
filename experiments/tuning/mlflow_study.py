"""A study in MLflow: one parent run, and a nested run for each trial. MLflow never stops a study."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prism_bench.experiments.mlflow_view.client import Run, RunWriter
from prism_bench.experiments.mlflow_view.connection import check_tracking, connect
from prism_bench.experiments.mlflow_view.process_owner import owner_tags
from prism_bench.experiments.tracking.payload import now_ms
from prism_bench.prism.errors import first_line


class StudyView:
    """Writes trials as they end. Without a connection, and after a failure, it does nothing."""

    _writer: RunWriter
    _experiment: str

    def __init__(self, store: Path, study: str, say: Callable[[str], None]) -> None:
        self._store, self._study, self._say = store, study, say
        self._parent: Run | None = None

    def open(self, asked: Mapping[str, Any]) -> None:
        """Connect, and find or make the study's run.

        Raises:
            InputError: the database that MLFLOW_TRACKING_URI names has no driver here.
        """
        check_tracking(self._store)
        with self._given_up_on_failure():
            self._writer = writer = RunWriter(connect(self._store, self._say), self._store)
            self._experiment = writer.experiment("tune")
            known = {"prism.study": self._study, "prism.kind": "study"}
            parent = writer.one(self._experiment, known, self._study, known)
            writer.resume(parent)
            writer.tag(parent, owner_tags(self._store))
            writer.params(parent, {key: str(value)[:500] for key, value in asked.items()})
            self._parent = parent

    def trial(
        self, number: int, params: Mapping[str, Any], facts: Mapping[str, Any], numbers: Mapping[str, float]
    ) -> None:
        """A trial that has ended: its parameters, its tags (status, reason, records), its numbers."""
        if self._parent is None:
            return
        tags = {
            "mlflow.parentRunId": self._parent.id,
            "prism.kind": "trial",
            "prism.study": self._study,
            "prism.trial": str(number),
            **{f"prism.{key}": str(value)[:500] for key, value in facts.items()},
        }
        with self._given_up_on_failure():
            known = {name: tags[name] for name in ("prism.study", "prism.trial")}
            run = self._writer.one(self._experiment, known, f"trial {number}", tags)
            self._writer.tag(run, tags)
            self._writer.params(run, {key: str(value) for key, value in params.items()})
            self._writer.metrics(run, numbers)
            self._writer.end(run, "FAILED" if facts.get("status") == "fail" else "FINISHED", now_ms())

    def close(self, files: Mapping[str, Path], best: Mapping[str, float]) -> None:
        """Close the study's run with its files and its best value."""
        if self._parent is None:
            return
        with self._given_up_on_failure():
            self._writer.files(self._parent, files)
            self._writer.metrics(self._parent, best)
            self._writer.end(self._parent, "FINISHED", now_ms())

    @contextmanager
    def _given_up_on_failure(self) -> Iterator[None]:
        # Whatever MLflow or its artifact store raises: the study's own journal is complete without them.
        try:
            yield
        except Exception as error:
            self._say(f"MLflow: {first_line(error)}. The study is complete without it.")
            self._parent = None
