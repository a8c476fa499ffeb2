"""`prism-bench tune`: trial after trial until there are enough, then what was found."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prism_bench.analysis.formatting import decimals, duration, fixed
from prism_bench.analysis.stats.statistics import mean_interval
from prism_bench.analysis.table.study_results import spelled, words
from prism_bench.experiments.formatting import counted
from prism_bench.experiments.interrupt import interruptible
from prism_bench.experiments.options.training import TuneOptions
from prism_bench.experiments.planning.plan import Plan
from prism_bench.experiments.planning.resolve_options import resources
from prism_bench.experiments.screen import Screen
from prism_bench.experiments.tools.train import single_scale
from prism_bench.experiments.tuning.mlflow_study import StudyView
from prism_bench.experiments.tuning.objective import Objective, metric_values
from prism_bench.experiments.tuning.space import Point, Space, parameters
from prism_bench.experiments.tuning.study import KILLED, REASON, Trials, open_study, point_of
from prism_bench.experiments.tuning.summary import StudyFile, Summary
from prism_bench.prism.component import Json, load
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError, closest, first_line
from prism_bench.prism.executors.executor import Executor
from prism_bench.prism.metrics.base import Value
from prism_bench.prism.variants.variant import Variant

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.trial import FrozenTrial


def run_tune(options: TuneOptions, screen: Screen) -> Summary:
    """Open the study, try points, and say which is best.

    Raises:
        InputError: a name, a value or a study that does not fit, before anything is computed.
        ComputeError: the database of the study does not answer any more.
    """
    from optuna.exceptions import StorageInternalError

    load(options.run.plugins)
    store = Store.create(options.run.store)
    objective, value = _objective(options, store, screen)
    plan = objective.plan(_ends(objective.space)[0])
    asked = _asked(options, objective, value, plan)
    trials = open_study(
        asked,
        objective.space,
        name=options.study,
        url=options.storage,
        folder=store.root / "tuning",
        sampler=options.sampler,
        trials=options.trials,
        say=screen.say,
    )
    view = StudyView(store.root, trials.study.study_name, screen.say)
    if options.run.mlflow:
        view.open(asked)
    how = "every point in turn" if trials.full else "TPE"
    screen.say(
        f"{trials.study.study_name}: {', '.join(parameter.name for parameter in objective.space.parameters)} of "
        f"{objective.variant.label} by {value.label} ({how}), seeds {', '.join(map(str, options.run.seeds))}"
    )
    file = StudyFile(store.root, trials, value, options, objective.variant.label, plan, asked)
    try:
        _Loop(options, objective, trials, view, screen, file).run()
        summary = file.summary()
    except StorageInternalError as error:
        where = f"--storage {options.storage}: {first_line(error.__cause__ or error)}"
        raise ComputeError(f"{where}; what was computed is kept, the same command goes on from here") from None
    view.close(summary.files, summary.best)
    screen.say()
    for line in (*summary.lines, *(f"  {path}" for path in summary.files.values())):
        screen.tell(line)
    return summary


def _objective(options: TuneOptions, store: Store, screen: Screen) -> tuple[Objective, Value]:
    """What a trial computes, checked at both ends of the space."""
    if options.trials < 1:
        raise InputError(f"--trials {options.trials}: at least one is needed")
    scale = single_scale(options)
    if options.sampler not in {"auto", "grid", "tpe"}:
        raise InputError(f"--sampler {options.sampler}: known are auto, grid, tpe")
    space = Space(parameters(options.target, options.over, options.values, scale))
    asked = resources(options.run, len(options.run.seeds))
    executor = Executor.called(options.executor)
    executor.check(asked)
    pool = executor.pool(store, asked, options.plugins)
    objective = Objective(options.run, space, Variant.called(options.variant), "", store, pool, screen)
    proxies = (False, True) if options.prune else (False,)
    plans = [objective.plan(point, proxy=proxy) for proxy in proxies for point in _ends(space)]
    seen = plans[0].request
    known = metric_values(seen.scale.replace(dataset=seen.source.stage.dataset), seen.source.stage.dataset.resolution)
    metric = options.metric or next(iter(known))
    if metric not in known:
        raise InputError(f"--metric {metric}: {closest(metric, known)}")
    return replace(objective, metric=metric), known[metric]


def _ends(space: Space) -> list[Point]:
    """The smallest and the largest value of every parameter: where a point does not fit, it shows here."""
    return [{it.name: (it.values or (it.low, it.high))[index] for it in space.parameters} for index in (0, -1)]


def _asked(options: TuneOptions, objective: Objective, value: Value, plan: Plan) -> dict[str, Json]:
    """Everything that makes the values of two trials comparable."""
    run = options.run
    return {
        "direction": "maximize" if value.better == "higher" else "minimize",
        "metric": value.name,
        "space": objective.space.to_json(),
        "variant": objective.variant.to_json(),
        "scale": run.scale,
        "samples": plan.request.scale.samples,
        "data": plan.request.source.stage.address.key,
        "split": plan.request.split.split.to_json(),
        "seeds": list(run.seeds),
        "settings": list(run.settings),
    }


@dataclass(frozen=True)
class _Loop:
    """The trials of this process."""

    options: TuneOptions
    objective: Objective
    trials: Trials
    view: StudyView
    screen: Screen
    file: StudyFile

    def run(self) -> None:
        """As many trials as were asked for, or as there are points; MLflow then shows those of other processes too."""
        self._trials()
        for trial in self.trials.every():
            if trial.state.is_finished():
                self._show(trial)

    def _trials(self) -> None:
        from optuna.exceptions import UpdateFinishedTrialError

        for count in range(self.options.trials):
            trial = self.trials.ask()
            if trial is None:
                self._say("Every point has been tried.")
                return
            try:
                with interruptible(), self.trials.tried(trial):
                    ended = self._try(trial)
            except UpdateFinishedTrialError:
                self._say("  another process has taken this trial over, for this one gave no sign of life")
                continue
            except KeyboardInterrupt:
                with suppress(UpdateFinishedTrialError):
                    self._show(self._fail(trial, KILLED))
                self._say("\nStopped. What was computed is kept; the same command goes on from here.")
                raise
            self._show(ended)
            self.file.write()
            left = self.trials.left()
            more = self.options.trials - count - 1
            self._say(f"  {counted(more if left is None else min(left, more), 'trial')} left")

    def _try(self, trial: "Trial") -> "FrozenTrial":
        """Compute a trial's value and store how it ended."""
        from optuna import TrialPruned
        from optuna.trial import TrialState

        point = point_of(trial, self.trials.space)
        self._say(f"trial {trial.number}: {words(point)}")
        try:
            if not self.objective.known(point):
                self._proxy(trial, point)
            outcome = self.objective.compute(point)
        except TrialPruned:
            self._say("  ended early: its proxy is worse than the median")
            return self.trials.study.tell(trial, state=TrialState.PRUNED)
        except (ComputeError, InputError) as error:
            return self._fail(trial, str(error))
        trial.set_user_attr("by_seed", {str(seed): value for seed, value in outcome.by_seed.items()})
        trial.set_user_attr("records", {str(seed): name for seed, name in outcome.records.items()})
        trial.set_user_attr("seconds", outcome.seconds)
        finished = self.trials.study.tell(trial, outcome.mean)
        best = self.trials.study.best_value
        places = decimals([outcome.mean, best])
        told = spelled(mean_interval(list(outcome.by_seed.values())), places)
        self._say(f"  {self.objective.metric} {told}; best so far {fixed(best, places)}; {duration(outcome.seconds)}")
        return finished

    def _proxy(self, trial: "Trial", point: Point) -> None:
        """A short training that ends a trial whose value is worse than the median of those of finished trials."""
        if not self.options.prune:
            return
        from optuna import TrialPruned

        value = self.objective.compute(point, proxy=True).mean
        trial.set_user_attr("proxy", value)
        trial.report(value, step=0)
        if trial.should_prune():
            raise TrialPruned

    def _fail(self, trial: "Trial", reason: str) -> "FrozenTrial":
        from optuna.trial import TrialState

        trial.set_user_attr(REASON, reason)
        self._say(f"  FAILED: {reason}")
        return self.trials.study.tell(trial, state=TrialState.FAIL)

    def _show(self, trial: "FrozenTrial") -> None:
        """Show a trial that has ended in MLflow; a second time it changes nothing."""
        attrs = trial.user_attrs
        facts = {"status": trial.state.name.lower(), "records": ",".join(attrs.get("records", {}).values())}
        if REASON in attrs:
            facts[REASON] = attrs[REASON]
        numbers = {f"{self.objective.metric}.seed{seed}": value for seed, value in attrs.get("by_seed", {}).items()}
        if trial.values:
            numbers[self.objective.metric] = trial.values[0]
        self.view.trial(trial.number, point_of(trial, self.trials.space), facts, numbers)

    def _say(self, text: str) -> None:
        self.screen.say(text)
