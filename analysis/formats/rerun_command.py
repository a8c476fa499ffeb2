"""The command that computes one cell again, made from the command that computed its table."""

import shlex

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow

FLAGS = {"--skip-bad", "--controls", "--dry-run", "--stratify", "--no-stratify", "--mlflow", "--no-mlflow"}
"""Options that take no value."""
TAKES_EXPERIMENTS = "run"


def cell_command(plan: Plan, row: PlanRow, cell: Cell) -> str:
    """The plan's own command, narrowed to one row, seed and k_sample of its experiment."""
    words = shlex.split(plan.command)
    kept = _options(words[2:])
    head = words[:2]
    if words[1:2] == [TAKES_EXPERIMENTS]:
        head = [*head, plan.experiment]
    only = f"variant={row.id},seed={cell.seed}"
    if len({other.k_sample for other in row.cells}) > 1:
        only += f",k_sample={cell.k_sample}"
    return " ".join(shlex.quote(word) for word in [*head, *kept, "--only", only])


def _options(words: list[str]) -> list[str]:
    """The options without the names of experiments, without --only and --dry-run."""
    kept: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        alone = word in FLAGS or "=" in word
        option = words[position : position + (1 if alone else 2)]
        position += len(option) if word.startswith("-") else 1
        if word.startswith("-") and word != "--dry-run" and not word.startswith("--only"):
            kept += option
    return kept
