"""The plans that a store keeps, which of them are their experiments' latest, and the tables that they make."""

import re
from collections.abc import Callable, Sequence
from errno import ENOENT
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from prism_bench.analysis.errors import AnalysisError, NewerSchemaError
from prism_bench.analysis.schema.document import FILE_NAME
from prism_bench.sealed import DamagedError, unsealed

if TYPE_CHECKING:
    from prism_bench.analysis.schema.join_plans import JoinedPlan
    from prism_bench.analysis.schema.records import Plan

LATEST = "latest"
"""The file beside an experiment's plans that names the latest ones."""
SHORT = 8
"""Letters of a digest in a message."""
MENDED = "prism-bench cache verify --set-aside writes it again, from the plans beside it"


def experiments_in(store: Path) -> list[str]:
    """The names of the experiments that a store holds, sorted."""
    plans = (store.glob(f"experiments/*/{name}") for name in (LATEST, "*.json"))
    return sorted({path.parent.name for path in chain.from_iterable(plans)})


def latest_plans(folder: Path) -> list[str]:
    """The digests of an experiment's latest plans, from its folder in a store; earlier versions named one alone.

    Raises:
        AnalysisError: the file is missing, cannot be read, or is not what was written.
    """
    path = folder / LATEST
    try:
        latest = unsealed(path.read_bytes())
        found = latest["plans"] if "plans" in latest else [latest.get("plan")]
        if not isinstance(found, list) or not all(re.fullmatch(FILE_NAME, str(digest)) for digest in found):
            raise DamagedError(f"names no plans, but {found!r}")
    except OSError as error:
        why = "is missing" if error.errno == ENOENT else f"cannot be read ({error.strerror})"
        raise AnalysisError(f"{path}: {why}; {MENDED}") from None
    except DamagedError as error:
        raise AnalysisError(f"{path}: {error}; {MENDED}") from None
    return [str(digest) for digest in found]


def load_plans(experiment: str, store: Path, *, every_plan: bool = False) -> "list[Plan]":
    """The experiment's latest plans in a store: one, or one for each of the paper's datasets; or all it ever had.

    Raises:
        AnalysisError: the store holds no run of it, or a plan is malformed.
    """
    from prism_bench.analysis.schema.records import load_plan

    folder = _folder(experiment, store)
    digests = plan_digests(experiment, store) if every_plan else latest_plans(folder)
    return [load_plan(folder / f"{digest}.json") for digest in digests]


def plan_digests(experiment: str, store: Path) -> list[str]:
    """The digests of all its plans: the latest, then the others, those that were written last first."""
    folder = _folder(experiment, store)
    latest = latest_plans(folder)
    paths = [path for path in folder.glob("*.json") if path.stem not in {*latest, LATEST}]
    return latest + [path.stem for path in sorted(paths, key=lambda path: (-path.stat().st_mtime_ns, path.stem))]


def load_tables(
    experiment: str, store: Path, only: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> "list[JoinedPlan]":
    """The tables of all plans of an experiment that a store keeps; see `join_plans`.

    Args:
        experiment: its name.
        store: the folder of the store.
        only: digests of the plans that are meant; none: all.
        say: is told, in a sentence, of each plan that no table shows.

    Raises:
        AnalysisError: the store holds no run of it, or a plan is malformed that is one of the latest, or is meant.
    """
    from prism_bench.analysis.schema.join_plans import join_plans
    from prism_bench.analysis.schema.records import load_plan, load_records

    folder = _folder(experiment, store)
    latest = latest_plans(folder)
    meant = only or plan_digests(experiment, store)
    plans = []
    for digest in meant:
        try:
            plans.append(load_plan(folder / f"{digest}.json"))
        except NewerSchemaError:
            raise
        except AnalysisError as error:
            if digest in latest or only:
                raise
            say(f"{error} (left out: an earlier plan of {experiment})")
    tables = join_plans(plans, meant if only else latest, partial(load_records, store))
    for plan in plans:
        if not any(table.shows(plan.plan) for table in tables):
            say(f"{experiment}: plan {plan.plan[:SHORT]} is left out: nothing of it was computed ({plan.command})")
    return tables


def _folder(experiment: str, store: Path) -> Path:
    known = experiments_in(store)
    if experiment not in known:
        hint = f"it holds {', '.join(known)}" if known else "it holds no experiment yet"
        raise AnalysisError(f"no run of {experiment!r} in the store {store}: {hint}; run it first, or give --store")
    return store / "experiments" / experiment
