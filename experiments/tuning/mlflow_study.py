"""A study in MLflow: one parent run, and a nested run for each trial. MLflow never stops a study."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prism_bench.experiments.mlflow_view.client import Run, RunWriter, now_ms
from prism_bench.experiments.mlflow_view.connection import artifact_location, connect
from prism_bench.experiments.mlflow_view.process_owner import PREFIX, owner_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient


class StudyView:
    """Writes trials as they end. Without a connection, and after a failure, it does nothing."""

    def __init__(self, store: Path, study: str, say: Callable[[str], None]) -> None:
        self._store, self._study, self._say = store, study, say
        self._writer: RunWriter | None = None
        self._experiment = ""
        self._parent: Run | None = None

    def open(self, asked: Mapping[str, Any]) -> None:
        """Connect, and find or make the study's run."""
        self._attempt(lambda: self._begin(connect(self._store, self._say), asked))

    def trial(
        self, number: int, params: Mapping[str, Any], facts: Mapping[str, Any], numbers: Mapping[str, float]
    ) -> None:
        """A trial that has ended: its parameters, its tags (status, reason, records), its numbers."""
        self._attempt(lambda: self._write(number, params, facts, numbers))

    def close(self, status: str, files: Mapping[str, Path], best: Mapping[str, float]) -> None:
        """Close the study's run with its files and its best value."""
        self._attempt(lambda: self._finish(status, files, best))

    def _begin(self, client: "MlflowClient", asked: Mapping[str, Any]) -> None:
        self._writer = RunWriter(client)
        name = f"{PREFIX}tune"
        known = client.get_experiment_by_name(name)
        if known is None:
            self._experiment = client.create_experiment(name, artifact_location=artifact_location(self._store, "tune"))
        else:
            self._experiment = known.experiment_id
        tags = {"prism.study": self._study, "prism.kind": "study"}
        found = [run for run in self._writer.find(self._experiment, "prism.study", self._study) if _is_study(run)]
        if found:
            self._parent = found[0]
            self._writer.resume(self._parent)
        else:
            self._parent = self._writer.create(
                self._experiment, self._study, {**tags, **owner_tags(self._store)}, now_ms()
            )
        self._writer.tag(self._parent, owner_tags(self._store))
        self._writer.params(self._parent, {key: str(value)[:500] for key, value in asked.items()})

    def _write(
        self, number: int, params: Mapping[str, Any], facts: Mapping[str, Any], numbers: Mapping[str, float]
    ) -> None:
        if self._writer is None or self._parent is None:
            return
        tags = {
            "mlflow.parentRunId": self._parent.id,
            "prism.kind": "trial",
            "prism.study": self._study,
            "prism.trial": str(number),
            **{f"prism.{key}": str(value)[:500] for key, value in facts.items()},
        }
        same = self._writer.find(self._experiment, "prism.trial", str(number))
        own = [run for run in same if run.tags.get("prism.study") == self._study]
        run = own[0] if own else self._writer.create(self._experiment, f"trial {number}", tags, now_ms())
        self._writer.tag(run, tags)
        self._writer.params(run, {key: str(value) for key, value in params.items()})
        self._writer.metrics(run, numbers)
        self._writer.end(run, "FAILED" if facts.get("status") == "fail" else "FINISHED", now_ms())

    def _finish(self, status: str, files: Mapping[str, Path], best: Mapping[str, float]) -> None:
        if self._writer is None or self._parent is None:
            return
        for name, path in files.items():
            self._writer.file(self._parent, name, path)
        self._writer.metrics(self._parent, best)
        self._writer.end(self._parent, status, now_ms())

    def _attempt(self, action: Callable[[], None]) -> None:
        # Whatever MLflow or its artifact store raises: the study's own journal is complete without them.
        try:
            action()
        except Exception as error:
            if self._writer is not None or self._parent is None:
                first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
                self._say(f"MLflow: {first}. The study is complete without it.")
            self._writer = self._parent = None


def _is_study(run: Run) -> bool:
    return run.tags.get("prism.kind") == "study"
