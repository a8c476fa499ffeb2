"""An Optuna study that several processes may work on: nothing is tried twice, and dead trials are tried again."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from prism_bench.experiments.mlflow_view.process_owner import alive, began
from prism_bench.experiments.tuning.space import LARGEST_GRID, Point, Space
from prism_bench.prism.component import Json, digest_of
from prism_bench.prism.errors import InputError, first_line

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

STARTUP = 4
"""Finished trials before a proxy may end another."""
ATTEMPTS = 50
"""Draws of a sampler before a space counts as exhausted."""
REASON = "reason"
KILLED = "its process ended"


@dataclass(frozen=True)
class Trials:
    """A study with its search space, and the lock under which points are handed out."""

    study: "Study"
    space: Space
    lock: FileLock
    full: bool
    """Whether every point is tried, one after the other."""

    def ask(self) -> "Trial | None":
        """The next trial; None where there is no point left that is not done or being tried."""
        from optuna.samplers import TPESampler

        with self.lock:
            self._fail_dead()
            taken = self._taken()
            if self.full:
                left = [point for point in self.space.points() if point not in taken]
                if not left:
                    return None
                self.study.enqueue_trial(left[0])
                return self._sign(self.study.ask(self.space.distributions))
            for _ in range(ATTEMPTS):
                # Seeded by the trial's number: no other process, and no restart, draws what another has drawn.
                seed = len(self.study.get_trials(deepcopy=False))
                self.study.sampler = TPESampler(seed=seed, constant_liar=True)
                trial = self.study.ask(self.space.distributions)
                if dict(trial.params) not in taken:
                    return self._sign(trial)
                self._repeat(trial)
        return None

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

    def _sign(self, trial: "Trial") -> "Trial":
        """Mark a trial as being tried by this process."""
        trial.set_user_attr("host", socket.gethostname())
        trial.set_user_attr("pid", os.getpid())
        trial.set_user_attr("began", began(os.getpid()) or "")
        return trial

    def _taken(self) -> list[Point]:
        """Points that are done, being tried, or known to fail. One whose process ended is free again."""
        from optuna.trial import TrialState

        return [
            dict(trial.params)
            for trial in self.every()
            if trial.state != TrialState.WAITING
            and not (trial.state == TrialState.FAIL and trial.user_attrs.get(REASON, KILLED) == KILLED)
        ]

    def _repeat(self, trial: "Trial") -> None:
        """A draw that repeats a trial learns that one's value, or fails where it has none yet."""
        from optuna.trial import TrialState

        trial.set_user_attr("repeats", True)
        same = next((other for other in self.finished() if other.params == trial.params), None)
        self.study.tell(trial, None if same is None else same.values, None if same else TrialState.FAIL)

    def _fail_dead(self) -> None:
        """Trials that dead processes of this machine left running fail; a journal has no heartbeat of its own."""
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            known = trial.user_attrs
            here = known.get("host") == socket.gethostname()
            if here and not alive(int(known.get("pid", -1)), str(known.get("began", ""))):
                self.study.tell(trial.number, state=TrialState.FAIL)


def open_study(
    asked: dict[str, Json], space: Space, *, name: str | None, url: str | None, folder: Path, sampler: str, trials: int
) -> Trials:
    """The study of what was asked, made or found.

    asked: everything that makes two values comparable. It names the study, unless `name` does; then a study of that
    name must have been asked the same.

    Raises:
        InputError: another study has that name, the storage cannot be used, or a grid is asked of an endless space.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.study import StudyDirection
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    full = _full(space, sampler, trials)
    title = name or f"tune-{digest_of(asked)[:10]}"
    folder.mkdir(parents=True, exist_ok=True)
    file = title.replace("/", "_")
    lock = FileLock(folder / f"{file}.lock")
    with lock:
        try:
            study = optuna.create_study(
                study_name=title,
                storage=url or JournalStorage(JournalFileBackend(str(folder / f"{file}.journal"))),
                # A proxy, reported as step 0, ends a trial where it is worse than the median of those of others.
                pruner=optuna.pruners.MedianPruner(n_startup_trials=0, n_min_trials=STARTUP),
                direction=StudyDirection[str(asked["direction"]).upper()],
                load_if_exists=True,
            )
        except (ImportError, OSError, ValueError, RuntimeError, SQLAlchemyError) as error:
            raise InputError(f"--storage {url}: {first_line(error)}; check the address") from None
        _check(study, asked, title)
    return Trials(study, space, lock, full)


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
    """A trial's point, in the order of the space."""
    return {parameter.name: trial.params[parameter.name] for parameter in space.parameters}
