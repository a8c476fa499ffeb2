"""What a study found: its document in the store, from which its page is made, and the command that uses a point."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prism_bench.analysis.report.study_report import write_study
from prism_bench.analysis.schema import study as schema
from prism_bench.analysis.table.study_results import StudyResults, interval_of
from prism_bench.experiments.options.option import command_of
from prism_bench.experiments.options.training import TuneOptions
from prism_bench.experiments.planning.plan import Plan
from prism_bench.experiments.reports.places import study_folder
from prism_bench.experiments.tuning.space import Point, Space
from prism_bench.experiments.tuning.study import KILLED, REASON, Trials, point_of
from prism_bench.prism.component import Json
from prism_bench.prism.engine.runtime import write_json
from prism_bench.prism.metrics.base import Value
from prism_bench.sealed import sealed

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

STATUS: dict[str, schema.Status] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "fail",
    "RUNNING": "running",
    "WAITING": "waiting",
}
"""By the names of Optuna's states."""


@dataclass(frozen=True)
class Summary:
    """Lines for people, and the files behind them."""

    lines: list[str]
    files: dict[str, Path]
    best: dict[str, float]
    point: Point = field(default_factory=dict)
    trials: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """In plain values: the best point with its mean, every trial, the lines for people, and the files."""
        return {
            "best": None if not self.best else {"point": self.point, "value": self.best},
            "trials": self.trials,
            "lines": self.lines,
            "files": [str(path.absolute()) for path in self.files.values()],
        }


@dataclass(frozen=True)
class StudyFile:
    """The document of a study in the store, written anew as trials end: a report is made of it, without Optuna."""

    store: Path
    trials: Trials
    metric: Value
    options: TuneOptions
    variant: str
    plan: Plan
    """Of one of its points: data and number of samples are those of all."""
    asked: dict[str, Json]

    def write(self) -> schema.Study:
        """Bring it up to the study, whoever computed its trials."""
        study = self._document()
        write_json(schema.study_path(self.store, study.study), sealed(study.model_dump(mode="json")))
        return study

    def summary(self) -> Summary:
        """Write it and the study's page, and say what was found."""
        study = self.write()
        results = StudyResults(study=study, folder=study_folder(study, self.store / "reports"))
        best, files = results.best, write_study(results)
        if best is None:
            return Summary(results.sentences, {}, {})
        lines = [*results.sentences, f"Use it: {best.command}"]
        named = {path.name: path for path in files}
        return Summary(lines, named, {study.metric: interval_of(best).mean}, best.point, results.rows())

    def _document(self) -> schema.Study:
        options = self.options
        return schema.Study(
            study=self.trials.study.study_name,
            target=options.target,
            parameters=tuple(parameter.name for parameter in self.trials.space.parameters),
            variant=self.variant,
            metric=self.metric.name,
            label=self.metric.label,
            better=self.metric.better,
            scale=options.run.scale,
            dataset=self.plan.document.dataset,
            samples=self.plan.request.scale.samples,
            seeds=options.run.seeds,
            asked=self.asked,
            command=options.command,
            trials=tuple(self._trial(trial) for trial in self.trials.every()),
        )

    def _trial(self, trial: "FrozenTrial") -> schema.Trial:
        attrs, status = trial.user_attrs, STATUS[trial.state.name]
        point = point_of(trial, self.trials.space)
        ended = "by_seed" in attrs and bool(trial.values)
        return schema.Trial(
            number=trial.number,
            point=point,
            status=status,
            values={seed: float(value) for seed, value in attrs["by_seed"].items()} if ended else {},
            proxy=attrs.get("proxy"),
            seconds=attrs.get("seconds"),
            records=attrs.get("records", {}),
            reason=attrs.get(REASON, KILLED if status == "fail" else None),
            command=command(point, self.trials.space, self.options) if ended else "",
        )


def command(point: Point, space: Space, options: TuneOptions) -> str:
    """The command that runs Table 3, and the tuned variant with it, at a point, on all else that the study had."""
    schedule = point.get("schedule")
    run = replace(
        options.run,
        experiments=("ablation-table3",),
        extra=() if options.variant == "prism" else (options.variant,),
        settings=(*options.settings, *space.settings(point)),
    )
    text = command_of("run", run)
    return (
        text if schedule in {None, "decreasing"} else f"{text}   (its schedule, {schedule}, needs a variant of yours)"
    )
