"""Orders and answers between a command and its jobs: files in the store, for jobs may begin hours later, or twice.

logs/slurm/<account>/orders/<stage>.pkl      what is to be made      answers/<stage>.json   what became of it
logs/slurm/<account>/<job>/                  submitit's files of a job, its log among them

Orders are pickles, so that the folder is its account's alone, also in a store that a team shares.
"""

import contextlib
import json
import os
import pickle
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from prism_bench.prism.engine.pool import Answer
from prism_bench.prism.engine.runtime import Runtime, write_bytes, write_json
from prism_bench.prism.engine.stage import Stage
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How an order is to be carried out. A job also carries out others of the same terms as its own."""

    runtime: Runtime
    plugins: tuple[Path, ...]
    directives: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """A stage to be made, as bytes, for plug-ins must be loaded before it is read. job: that was submitted for it."""

    terms: Terms
    stage: bytes
    job: str = ""


class Board:
    """The orders and answers of one account in one store."""

    def __init__(self, store: Store) -> None:
        self.folder: Path = store.root / "logs" / "slurm" / psutil.Process().username()

    def open(self) -> None:
        """Make the folders. InputError where they are another account's, whose pickles this one must not read."""
        for name in ("orders", "answers"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.getuid():
            raise InputError(f"{self.folder} belongs to another account; remove it, or name another --store")
        self.folder.chmod(0o700)

    def give(self, stage: Stage, terms: Terms, job: str = "") -> None:
        """Order a stage; what was answered before is forgotten."""
        self.forget(stage)
        order = Order(terms=terms, stage=pickle.dumps(stage), job=job)
        write_bytes(self._order(str(stage.address)), pickle.dumps(order))

    def order(self, address: str) -> Order | None:
        """What is ordered by this address; None where nothing is, or not any more."""
        with contextlib.suppress(OSError):
            order = pickle.loads(self._order(address).read_bytes())  # noqa: S301 - see above
            if isinstance(order, Order):
                return order
        return None

    def ordered(self) -> list[str]:
        """The addresses of all orders, the oldest first."""
        found: list[tuple[float, str]] = []
        for path in self.folder.glob("orders/*.pkl"):
            with contextlib.suppress(OSError):
                found.append((path.stat().st_mtime, path.stem))
        return [address for _, address in sorted(found)]

    def withdraw(self, stage: Stage) -> None:
        """The stage is not wanted any more."""
        self._order(str(stage.address)).unlink(missing_ok=True)

    def tell(self, answer: Answer) -> None:
        """Say what became of an order, which is settled by that, unless the stage was stopped."""
        write_json(self.folder / "answers" / f"{answer.address}.json", asdict(answer))
        if answer.outcome != "stopped":
            self._order(answer.address).unlink(missing_ok=True)

    def forget(self, stage: Stage) -> None:
        """What was said of the stage before."""
        (self.folder / "answers" / f"{stage.address}.json").unlink(missing_ok=True)

    def answers(self) -> Iterator[Answer]:
        """All that has been said."""
        # Listed, for a network file system remembers for a while that a file was not there.
        for path in list((self.folder / "answers").iterdir()):
            if path.suffix == ".json":
                with contextlib.suppress(OSError, ValueError, TypeError):
                    yield Answer(**json.loads(path.read_text()))

    def _order(self, address: str) -> Path:
        return self.folder / "orders" / f"{address}.pkl"
