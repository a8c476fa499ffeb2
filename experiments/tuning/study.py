"""An Optuna study that several processes may work on: nothing is tried twice, and dead trials are tried again."""

import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.experiments.mlflow_view.process_owner import has_ended, process_facts, process_of
from prism_bench.experiments.reports.places import study_file
from prism_bench.experiments.tuning.space import LARGEST_GRID, Point, Space
from prism_bench.experiments.tuning.storage import beat, beating, database, journal
from prism_bench.prism.component import Json, digest_of
from prism_bench.prism.engine.lease import SILENCE, Holder, Lease
from prism_bench.prism.errors import InputError, first_line

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

STARTUP = 4
"""Finished trials before a proxy may end another."""
ATTEMPTS = 50
"""Draws of a sampler before a space counts as exhausted."""
DRAWING = 10.0
"""Seconds to wait for another process that is drawing the values of a trial."""
PROCESS = "process"
REASON = "reason"
KILLED = "its process ended"


@dataclass(frozen=True)
class Trials:
    """A study with its search space.

    Points are handed out without a lock, which several machines need not share: who asks makes a trial and looks
    whether one with a lower number has the same point. Numbers come in the order in which trials are stored, so that
    of two processes at least the later one sees the other, and the earlier one keeps the point.
    """

    study: "Study"
    space: Space
    storage: "BaseStorage"
    full: bool
    """Whether every point is tried, one after the other."""
    leases: Path
    """Where trials have their leases, if they are in a journal."""

    def ask(self) -> "Trial | None":
        """The next trial; None where there is no point left that is not done or being tried."""
        from optuna.samplers import TPESampler

        lost = 0
        for _ in count() if self.full else range(ATTEMPTS):
            self._fail_dead()
            if self.full:
                taken = self._taken()
                left = [point for point in self.space.points() if point not in taken]
                if not left:
                    return None
                trial = self._trial_at(left[lost % len(left)])
            else:
                # Seeded by the trial's number: no restart draws what has been drawn.
                seed = len(self.study.get_trials(deepcopy=False))
                self.study.sampler = TPESampler(seed=seed, constant_liar=True)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # Optuna beats in `optimize` only; we do so in `tried`
                    trial = self.study.ask(self.space.distributions)
            beat(self.storage, self.study.study_name, trial.number)
            trial.set_user_attr(PROCESS, process_facts(Holder.here()))
            if trial.params not in self._taken(before=trial.number):
                return trial
            self._repeat(trial)
            lost = trial.number  # those who lost a point go for different ones
        return None

    def _trial_at(self, point: Point) -> "Trial":
        """A running trial at a point, stored with it in one step.

        Optuna's own queue would take two: another process may take a queued point between them, and leave its own.
        """
        from optuna.trial import Trial, TrialState, create_trial

        there = create_trial(state=TrialState.RUNNING, params=point, distributions=self.space.distributions)
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        return Trial(self.study, self.storage.create_new_trial(study_id, template_trial=there))

    def tried(self, trial: "Trial") -> AbstractContextManager[None]:
        """While a trial is computed: others see that it lives."""
        return beating(self.storage, self.study.study_name, trial.number, self.leases)

    def left(self) -> int | None:
        """Points of a full search that nobody has taken; None in an open one."""
        taken = self._taken()
        return sum(point not in taken for point in self.space.points()) if self.full else None

    def finished(self) -> list["FrozenTrial"]:
        """Trials with a value of their own, in order."""
        return [trial for trial in self.every() if trial.values and "by_seed" in trial.user_attrs]

    def every(self) -> list["FrozenTrial"]:
        """All trials, but for draws that repeated another."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if "repeats" not in trial.user_attrs]

    def _taken(self, before: int | None = None) -> list[Point]:
        """Points that are done, being tried, or known to fail, by trials of lower numbers than `before`.

        One whose process ended is free again. What is still being drawn is waited for. In an open search a lower
        number that waits for a process will be taken by one, who does not look at higher ones: its point is taken,
        too. A full search takes nothing that waits.
        """
        from optuna.trial import TrialState

        deadline = time.monotonic() + DRAWING
        while True:
            trials = [trial for trial in self.every() if before is None or trial.number < before]
            running = [trial for trial in trials if trial.state == TrialState.RUNNING]
            drawn = all(len(_point(trial)) == len(self.space.parameters) for trial in running)
            if before is None or drawn or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return [
            _point(trial)
            for trial in trials
            if (trial.state != TrialState.WAITING or (before is not None and not self.full))
            and not (trial.state == TrialState.FAIL and trial.user_attrs.get(REASON, KILLED) == KILLED)
        ]

    def _repeat(self, trial: "Trial") -> None:
        """A draw that repeats a trial learns that one's value, or fails where it has none yet."""
        from optuna.trial import TrialState

        trial.set_user_attr("repeats", True)
        same = next((other for other in self.finished() if other.params == trial.params), None)
        self.study.tell(trial, None if same is None else same.values, None if same else TrialState.FAIL)

    def _fail_dead(self) -> None:
        """Trials fail whose processes are known to have ended, or gave no sign of life to the database."""
        from optuna.storages import RDBStorage, fail_stale_trials
        from optuna.trial import TrialState

        shared = isinstance(self.storage, RDBStorage)
        if shared:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Optuna calls it experimental
                fail_stale_trials(self.study)
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            process = process_of(trial.user_attrs.get(PROCESS, trial.user_attrs))
            # Machines that share a database may share a name.
            ended = process is not None and (process.is_gone() if shared else has_ended(process))
            if ended or self._is_silent(trial, shared=shared):
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _is_silent(self, trial: "FrozenTrial", *, shared: bool) -> bool:
        """Whether a trial that began some time ago gives no sign of life; in a database, whether it never did."""
        started = trial.datetime_start
        if started is None or (datetime.now() - started).total_seconds() < SILENCE:
            return False
        if PROCESS not in trial.user_attrs:
            return process_of(trial.user_attrs) is None  # it ended between its first line and the second
        return not shared and Lease(self.leases / str(trial.number)).holder() is None


def _point(trial: "FrozenTrial") -> Point:
    """A trial's point as far as it is known: what was asked for, and what has been drawn."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def open_study(
    asked: dict[str, Json],
    space: Space,
    *,
    name: str | None,
    url: str | None,
    folder: Path,
    sampler: str,
    trials: int,
    say: Callable[[str], None],
) -> Trials:
    """The study of what was asked, made or found.

    asked: everything that makes two values comparable. It names the study, unless `name` does; then a study of that
    name must have been asked the same.

    Raises:
        InputError: another study has that name, the storage cannot be used, or a grid is asked of an endless space.
    """
    import optuna
    from optuna.exceptions import StorageInternalError
    from optuna.study import StudyDirection
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    full = _full(space, sampler, trials)
    title = name or f"tune-{digest_of(asked)[:10]}"
    folder.mkdir(parents=True, exist_ok=True)
    file = study_file(title)
    try:
        storage = database(url) if url else journal(folder / f"{file}.journal", say)
        study = optuna.create_study(
            study_name=title,
            storage=storage,
            # A proxy, reported as step 0, ends a trial where it is worse than the median of those of others.
            pruner=optuna.pruners.MedianPruner(n_startup_trials=0, n_min_trials=STARTUP),
            direction=StudyDirection[str(asked["direction"]).upper()],
            load_if_exists=True,
        )
    except (RuntimeError, StorageInternalError, SQLAlchemyError) as error:
        raise InputError(f"--storage {url}: {first_line(error)}; check the address") from None
    _check(study, asked, title)
    return Trials(study, space, storage, full, folder / f"{file}.trials")


def _full(space: Space, sampler: str, trials: int) -> bool:
    size = space.size
    if sampler == "grid" and size is None:
        raise InputError("--sampler grid: one of the parameters is continuous, so there is no grid; use tpe")
    return sampler == "grid" or (sampler == "auto" and size is not None and size <= max(LARGEST_GRID, trials))


def _check(study: "Study", asked: dict[str, Json], title: str) -> None:
    """A new study is marked with what was asked; an old one must have been asked the same."""
    known = study.user_attrs.get("asked")
    if known is None:
        study.set_user_attr("asked", asked)
        return
    differ = [key for key in asked if known.get(key) != asked[key]]
    if study.direction.name.lower() != asked["direction"] and "direction" not in differ:
        differ.append("direction")
    if differ:
        both = "; ".join(f"{key}: {_brief(known.get(key))} there, {_brief(asked[key])} here" for key in differ)
        raise InputError(
            f"the study {title} was begun with another {' and '.join(differ)} ({both}); name another --study"
        )


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def point_of(trial: "FrozenTrial | Trial", space: Space) -> Point:
    """A trial's point, in the order of the space; of one that is being drawn, or died then, what it has of it."""
    return {
        parameter.name: trial.params[parameter.name] for parameter in space.parameters if parameter.name in trial.params
    }
