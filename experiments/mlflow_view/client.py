"""Writing to MLflow runs so that doing it twice is the same as doing it once."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prism_bench.analysis.schema.records import Dataset as Images
from prism_bench.experiments.mlflow_view.connection import ARTIFACTS, artifact_location, every, is_inside
from prism_bench.experiments.mlflow_view.process_owner import PREFIX, owner_tags
from prism_bench.experiments.reports.run_addresses import DATABASE
from prism_bench.experiments.tracking.payload import Point, fingerprint, now_ms
from prism_bench.prism.engine.lease import HeldError, Lease
from prism_bench.prism.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MOST_METRICS = 1000
"""What a server takes in one request."""
_LONGEST_DIGEST = 36
"""Letters that MLflow takes of a dataset's digest."""
PATIENCE = 60.0
"""Seconds to wait for another command that writes the same run."""


@dataclass(kw_only=True)
class Run:
    """What MLflow holds of one run, so that only news is sent."""

    id: str
    status: str
    started: int
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    last_step: int | None = None


class RunWriter:
    """Finds, makes and fills a store's runs through one MLflow client; counts what it adds."""

    def __init__(self, client: "MlflowClient", store: Path) -> None:
        self.client, self.store = client, store
        self.runs_added = 0
        self.points_added = 0

    def experiment(self, name: str) -> str:
        """Id of the MLflow experiment that holds all plans of one of our experiments, found or made."""
        from mlflow.exceptions import MlflowException

        full, location = PREFIX + name, artifact_location(self.store, name)
        known = self.client.get_experiment_by_name(full)
        if known is None:
            # The kind spares the user a question when the page opens.
            tags = {"mlflow.experimentKind": "custom_model_development"}
            try:
                return str(self.client.create_experiment(full, artifact_location=location, tags=tags))
            except MlflowException:
                known = self.client.get_experiment_by_name(full)
                if known is None:  # it was not another command that made it
                    raise
        if known.lifecycle_stage == "deleted":
            self.client.restore_experiment(known.experiment_id)
        if location != known.artifact_location and is_inside(self.store):
            raise InputError(
                f"the store was moved: {DATABASE} still points to {known.artifact_location}; "
                f"delete {self.store / DATABASE} and {self.store / ARTIFACTS}"
            )
        return str(known.experiment_id)

    def find(self, experiment_id: str, tags: Mapping[str, str]) -> list[Run]:
        """Runs of an experiment that carry these tags, newest first."""
        quoted = {name: f'"{value}"' if "'" in value else f"'{value}'" for name, value in tags.items()}
        query = " AND ".join(f"tags.`{name}` = {value}" for name, value in quoted.items())
        found = every(lambda token: self.client.search_runs([experiment_id], query, page_token=token))
        return [
            Run(
                id=run.info.run_id,
                status=run.info.status,
                started=run.info.start_time,
                params=dict(run.data.params),
                tags=dict(run.data.tags),
                metrics=dict(run.data.metrics),
            )
            for run in found
        ]

    def one(
        self,
        experiment_id: str,
        known_by: Mapping[str, str],
        name: str,
        tags: dict[str, str],
        started: int | None = None,
    ) -> Run:
        """The run known by some of its tags, found or made; of several commands that ask at once, one makes it."""
        with self.alone(experiment_id, *known_by.values()):
            found = self.find(experiment_id, known_by)
            return found[-1] if found else self.create(experiment_id, name, tags, started)

    @contextmanager
    def alone(self, *what: str) -> Iterator[None]:
        """Hold a lease of the store on a run, waiting for another command on the store that has it.

        Raises:
            HeldError: another has had it for PATIENCE seconds.
        """
        lease = Lease(self.store / "locks" / f"mlflow-{fingerprint(what)[:16]}")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                lease.acquire()
                break
            except HeldError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        with lease:
            yield

    def refresh(self, run: Run) -> None:
        """See what other commands have logged meanwhile."""
        now = self.client.get_run(run.id)
        run.status, run.last_step = now.info.status, None
        run.params, run.tags, run.metrics = dict(now.data.params), dict(now.data.tags), dict(now.data.metrics)

    def create(self, experiment_id: str, name: str, tags: dict[str, str], started: int | None = None) -> Run:
        """A new run of this process, RUNNING since `started` (ms) or now."""
        started, tags = started or now_ms(), tags | owner_tags(self.store)
        made = self.client.create_run(experiment_id, start_time=started, tags=tags, run_name=name)
        self.runs_added += 1
        return Run(id=made.info.run_id, status="RUNNING", started=started, tags=tags)

    def delete(self, run: Run) -> None:
        """Put a run into MLflow's trash; one that another command has put there meanwhile stays there."""
        with self.alone(run.id):
            if self.client.get_run(run.id).info.lifecycle_stage == "active":
                self.client.delete_run(run.id)

    def resume(self, run: Run) -> None:
        """Set a run that had ended back to RUNNING."""
        if run.status != "RUNNING":
            self.client.update_run(run.id, status="RUNNING")
            run.status = "RUNNING"

    def end(self, run: Run, status: str, ended: int) -> None:
        """Close a run; `ended` in ms, never before its start."""
        if run.status != status:
            self.client.set_terminated(run.id, status, max(ended, run.started))
            run.status = status

    def tag(self, run: Run, tags: Mapping[str, str]) -> None:
        """Set the tags that differ."""
        from mlflow.entities import RunTag

        news = {name: value for name, value in tags.items() if run.tags.get(name) != value}
        if news:
            self.client.log_batch(run.id, tags=[RunTag(name, value) for name, value in news.items()])
            run.tags |= news

    def params(self, run: Run, params: Mapping[str, str]) -> None:
        """Log the parameters that are absent: MLflow refuses to change one."""
        from mlflow.entities import Param

        if params.keys() <= run.params.keys():
            return
        # Two that log one at once both see that it is absent, and the database takes one.
        with self.alone(run.id, "params"):
            run.params = dict(self.client.get_run(run.id).data.params)
            news = {name: value for name, value in params.items() if name not in run.params}
            if news:
                self.client.log_batch(run.id, params=[Param(name, value) for name, value in news.items()])
                run.params |= news

    def metrics(self, run: Run, values: Mapping[str, float], step: int = 0) -> None:
        """Log final values, at the images seen, that differ from the latest ones."""
        news = {name: value for name, value in values.items() if run.metrics.get(name) != value}
        self._points(run, [Point(step=step, seconds=(now_ms() - run.started) / 1000, values=news)])

    def dataset(self, run: Run, images: Images) -> None:
        """Log what a run is computed on; MLflow keeps one of equal name and digest for all runs."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        facts = images.model_dump(exclude={"label", "digest"})
        dataset = Dataset(
            name=images.label,
            digest=images.digest[:_LONGEST_DIGEST],
            source_type="local",
            source=json.dumps({"uri": f"stages/dataset/{images.digest}"}),
            profile=json.dumps(facts),
        )
        self.client.log_inputs(run.id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def curve(self, run: Run, points: Iterable[Point]) -> None:
        """Log the points beyond the last step that MLflow has, whoever logged it."""
        points = list(points)
        names = {name for point in points for name in point.values}
        if run.last_step is None:
            known = [self.client.get_metric_history(run.id, name) for name in sorted(names & run.metrics.keys())]
            run.last_step = max((metric.step for history in known for metric in history), default=-1)
        news = []
        step = run.last_step
        for point in points:
            if point.step > step:
                step = point.step
                news.append(point)
        self._points(run, news)
        run.last_step = step

    def files(self, run: Run, files: Mapping[str, Path]) -> None:
        """Copy files among a run's artifacts, each under its name there."""
        # MLflow takes the names from the files.
        with tempfile.TemporaryDirectory() as folder:
            for name, path in files.items():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            self.client.log_artifacts(run.id, folder)

    def _points(self, run: Run, points: Iterable[Point]) -> None:
        """Log points in few requests, a point never torn in two: the last step seen is then a whole one."""
        from mlflow.entities import Metric

        batch: list[Metric] = []
        for point in points:
            # From the run's start, not the clock: the same point logged again is the same row of the database.
            when = run.started + int(point.seconds * 1000)
            if len(batch) + len(point.values) > _MOST_METRICS:
                self._send(run, batch)
                batch = []
            batch += [Metric(name, value, when, point.step) for name, value in point.values.items()]
            run.metrics |= point.values
        self._send(run, batch)

    def _send(self, run: Run, batch: list[Any]) -> None:
        if batch:
            self.client.log_batch(run.id, metrics=batch)
            self.points_added += len(batch)
