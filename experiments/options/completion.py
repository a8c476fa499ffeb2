"""What a shell may complete in the values of options; nothing heavy is imported for it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prism_bench.experiments.options.sources import Sources
from prism_bench.experiments.paper.names import NUMBERED, PAPER_ORDER


@dataclass(frozen=True)
class Typed:
    """What stands on the line: the beginning of the value, the store, the plug-in files."""

    text: str
    store: Path
    plugins: tuple[Path, ...] = ()


Completes = Callable[[Typed], Iterable[str]]


def experiments(typed: Typed) -> Iterable[str]:
    """Names that `run` knows."""
    return dict.fromkeys([*PAPER_ORDER, *NUMBERED, *Sources.of(typed.plugins).members("experiment"), "all"])


def experiments_run(typed: Typed) -> Iterable[str]:
    """Names of experiments that the store holds."""
    return [*(path.name for path in sorted(typed.store.glob("experiments/*")) if path.is_dir()), "all"]


def reported(typed: Typed) -> Iterable[str]:
    """What a report may be of: experiments and studies that the store holds."""
    studies = [path.stem for path in sorted(typed.store.glob("tuning/*.json"))]
    return [*experiments_run(typed), *(["tune", *studies] if studies else [])]


def rows_run(typed: Typed) -> Iterable[str]:
    """EXPERIMENT/ROW of what the store holds."""
    found = [
        f"{path.parent.name}/{row['id']}"
        for path in sorted(typed.store.glob("experiments/*/*.json"))
        for row in _rows(path)
    ]
    return dict.fromkeys(found)


def _rows(plan: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(plan.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return found


def families(typed: Typed) -> Iterable[str]:
    """What `list` lists."""
    return [*Sources.of(typed.plugins).families, "scale"]


def members(family: str, *more: str) -> Completes:
    """Names of a family's members."""
    return lambda typed: [*Sources.of(typed.plugins).members(family), *more]


def several(one: Completes) -> Completes:
    """Names with commas between them: the last one is completed."""

    def complete(typed: Typed) -> Iterable[str]:
        before, comma, _ = typed.text.rpartition(",")
        return [f"{before}{comma}{name}" for name in one(typed)]

    return complete


def cells(typed: Typed) -> Iterable[str]:
    """Parts of `--only`: variant=NAME|NAME, seed=, k_sample=."""
    before, comma, last = typed.text.rpartition(",")
    key, equals, value = last.partition("=")
    if not equals:
        return [f"{before}{comma}{name}=" for name in ("variant", "seed", "k_sample")]
    if key != "variant":
        return []
    others, bar, _ = value.rpartition("|")
    return [f"{before}{comma}{key}={others}{bar}{name}" for name in members("variant")(typed)]


def settings(typed: Typed) -> Iterable[str]:
    """Paths of `--set`, and behind a family's name the members that may stand there."""
    sources = Sources.of(typed.plugins)
    path, equals, _ = typed.text.partition("=")
    if equals:
        family = path.rpartition(".")[2]
        return [f"{path}={name}" for name in sources.members(family)]
    roots = sources.paths("Scale", "PatchMethod", *sources.named("ScalePart"))
    # The method's fields have shorter paths of their own.
    return ["k_max", *(path for path in roots if path.partition(".")[0] not in {"method", "parts"})]


def words(*known: str) -> Completes:
    """Some words."""
    return lambda _: known
