"""Weights & Biases: a run for each cell, grouped by plan; its files lie in the store, whatever the network does."""

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prism_bench.experiments.tracking.cells import CellRun, CellsView, Key
from prism_bench.experiments.tracking.payload import PICTURE, Point, fingerprint, plan_name, typed
from prism_bench.experiments.tracking.tracker import Tracker
from prism_bench.prism.errors import InputError

FOLDER = "wandb"
PROJECT = "prism-bench"
PATIENCE = 30.0
"""Seconds to wait for its server when a run begins."""
_WITHOUT_SERVER = {"offline", "disabled", "dryrun"}


class WeightsAndBiases:
    """`--log wandb`; WANDB_PROJECT, WANDB_ENTITY and WANDB_MODE are respected."""

    def check(self) -> None:
        """Refuse where it is not installed, or where nobody is logged in.

        Raises:
            InputError: with the command that mends it.
        """
        if find_spec("wandb") is None:
            raise InputError('--log wandb needs the package wandb: pip install "prism-bench[wandb]"')
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        if wandb.setup().settings.mode in _WITHOUT_SERVER or wandb.login(prompt=False, verify=False):
            return
        raise InputError(
            "--log wandb: nobody is logged in to Weights & Biases; type `wandb login` (or set WANDB_API_KEY), "
            "or set WANDB_MODE=offline"
        )

    def tracker(self, store: Path, say: Callable[[str], None]) -> Tracker:
        """Says where it is looked at."""
        say(f"Weights & Biases: project {_project()}; files in {store / FOLDER}")
        remedy = "the same command sends what is missing"
        return Tracker("Weights & Biases", lambda plan: _View(store, plan), say, remedy=remedy)


class _View(CellsView):
    name = "wandb"

    def open(self, key: Key, params: Mapping[str, str]) -> CellRun:
        import wandb

        (self.store / FOLDER).mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,  # it would look at the store's
            x_disable_stats=True,
            init_timeout=PATIENCE,
        )
        offline = wandb.setup().settings.mode in _WITHOUT_SERVER
        return _Run(
            wandb.init(
                project=_project(),
                group=plan_name(self.plan),
                job_type=self.plan.experiment,
                name=self.names[key],
                id=self._id(key),
                config={name: typed(text) for name, text in params.items()},
                tags=[self.plan.experiment, self.plan.scale],
                dir=self.store,
                resume=None if offline else "allow",
                # Several cells are trained at a time.
                reinit="create_new",
                settings=settings,
            )
        )

    def shown(self, key: Key) -> Path:
        return self.store / FOLDER / "shown" / f"{self._id(key)}.json"

    def _id(self, key: Key) -> str:
        return fingerprint([self.plan.plan, *key])[:16]


class _Run(CellRun):
    def __init__(self, run: Any) -> None:
        self._run = run
        self.seen = run.step - 1 if run.resumed else -1

    def points(self, points: Sequence[Point]) -> None:
        for point in points:
            self._run.log(point.values, step=point.step)

    def final(self, values: Mapping[str, float], step: int, picture: Path | None) -> None:
        import wandb

        shown: dict[str, Any] = dict(values)
        if picture is not None:
            shown[PICTURE.partition(".")[0]] = wandb.Image(str(picture))
        self._run.log(shown, step=step)

    def close(self, *, ok: bool) -> None:
        self._run.finish(exit_code=0 if ok else 1)


def _project() -> str:
    return os.environ.get("WANDB_PROJECT") or PROJECT
