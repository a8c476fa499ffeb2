"""The command that computes one cell again, made from the command that computed its table."""

import shlex

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow

FLAGS = {
    "--skip-bad", "--controls", "--pool", "--dry-run", "--stratify", "--no-stratify", "--mlflow", "--no-mlflow",
    "--compile", "--prune", "--quiet", "-q", "--verbose", "-v", "--json",
}  # fmt: skip
"""Options that take no value."""
NOT_KEPT = ("--dry-run", "--only", "--quiet", "-q", "--verbose", "-v", "--json")
ONE_ROW, NARROWED = "train", ("run", "schedule-sweep")
"""Commands that compute one row, and those that `--only` narrows."""


def cell_command(plan: Plan, row: PlanRow, cell: Cell) -> str:
    """The plan's own command, narrowed to one row, seed and k_sample of its experiment.

    Where nothing was typed, or what was typed computes nothing (`compare`), the command that says how it was computed.
    """
    plan = plan.asked_by(cell.record)
    words = shlex.split(plan.command)
    program, name = words[:1], "".join(words[1:2])
    pairs = _pairs(words[2:])
    named = [pair[0] for pair in pairs if not pair[0].startswith("-")]
    options = [pair for pair in pairs if pair[0].startswith("-") and pair[0].partition("=")[0] not in NOT_KEPT]
    kept = [word for option in options for word in option]
    if name == ONE_ROW:
        found = [*program, name, *named, *kept, "--seeds", str(cell.seed)]
    elif name in NARROWED:
        only = f"variant={row.id},seed={cell.seed}"
        narrowed = any(word.partition("=")[0] == "--only" for word in words)
        own = next(other for other in plan.rows if other.id == row.id)
        if len({other.k_sample for other in own.cells}) > 1 or (narrowed and cell.k_sample is not None):
            only += f",k_sample={cell.k_sample}"
        # A setting may be another experiment's alone, and is refused where nothing takes it.
        taken = named if not named or any(word.partition("=")[0] == "--set" for word in kept) else [plan.experiment]
        found = [*program, name, *taken, *kept, "--only", only]
    else:
        stores = [word for option in options if option[0].startswith("--store") for word in option]
        found = ["prism-bench", "cache", "why", cell.record, *stores]
    return " ".join(shlex.quote(word) for word in found)


def _pairs(words: list[str]) -> list[list[str]]:
    """Each option with its value, and each name alone."""
    found: list[list[str]] = []
    position = 0
    while position < len(words):
        word = words[position]
        alone = not word.startswith("-") or word in FLAGS or "=" in word
        found.append(words[position : position + (1 if alone else 2)])
        position += len(found[-1])
    return found
