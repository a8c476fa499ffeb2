"""After a run that computed nothing MLflow is brought up to it, behind the table, and only where it lacks something."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from prism_bench.analysis.schema.records import Plan
from prism_bench.experiments.mlflow_view.connection import database_path, is_inside
from prism_bench.experiments.mlflow_view.sync import sync_plan
from prism_bench.experiments.mlflow_view.texts import VIEW
from prism_bench.experiments.mlflow_view.tracker import open_writer, tracker_at
from prism_bench.prism.engine.runtime import write_json
from prism_bench.prism.engine.store import Store

Source = tuple[Plan, Path]
"""A plan, and the folder of the tables and pictures that show it."""
NOTE = "mlflow.shown"


class ShownNote:
    """A note in the store of the plans that MLflow shows whole.

    It holds while the database looks as it did then: one that the store does not own may change unseen, and is asked.
    """

    def __init__(self, store: Path) -> None:
        """Read before MLflow is opened, which may change the database."""
        self._store = store
        self._shown: dict[str, str] = {}
        with suppress(OSError, ValueError, TypeError, KeyError):
            note = json.loads((store / NOTE).read_bytes())
            if is_inside(store) and note["database"] == self._look():
                self._shown = dict(note["plans"])

    def lacks(self, sources: Iterable[Source]) -> list[Source]:
        """Those that MLflow may not show whole."""
        return [(plan, folder) for plan, folder in sources if self._shown.get(plan.plan) != self._digest(plan, folder)]

    def add(self, sources: Iterable[Source]) -> None:
        """MLflow shows these too now, and nobody else has changed it since the note was read."""
        if not is_inside(self._store):
            return
        self._shown |= {plan.plan: self._digest(plan, folder) for plan, folder in sources}
        # A store that cannot be written does without.
        with suppress(OSError):
            write_json(self._store / NOTE, {"database": self._look(), "plans": self._shown})

    def _look(self) -> list[list[int]]:
        path = database_path(self._store)
        files = (it for it in sorted(path.parent.glob(f"{path.name}*")) if it.suffix != ".lock" and it.is_file())
        return [[it.st_ino, it.st_size, it.st_mtime_ns] for it in map(Path.stat, files)]

    def _digest(self, plan: Plan, folder: Path) -> str:
        """Of all that MLflow is given of a plan: itself, its records, tables and pictures."""
        files = sorted(path for path in folder.glob("[!.]*.*") if path.is_file())
        looks = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
        digest = hashlib.sha256(json.dumps([VIEW, looks]).encode())
        for path in _files(self._store, plan):
            with suppress(OSError):
                digest.update(path.read_bytes())
        return digest.hexdigest()


def catch_up(sources: Sequence[Source], store: Path, say: Callable[[str], None]) -> None:
    """Bring MLflow up to plans of which nothing was computed. What fails is said, and stops nothing."""
    note = ShownNote(store)
    news = note.lacks(sources)
    if not news:
        return
    # MLflow raises errors of many libraries, and is a view: the numbers are there without it.
    try:
        writer = open_writer(store, say)
        shown = [source for source in news if sync_plan(writer, _files(store, source[0])[0], say)]
    except Exception as error:
        tracker_at(store, None, say).warn(error)
    else:
        note.add(shown)


def _files(store: Path, plan: Plan) -> list[Path]:
    """The plan's document, and the records that it names."""
    known = Store(store)
    return [known.plan_path(plan.experiment, plan.plan), *map(known.record_path, plan.records)]
