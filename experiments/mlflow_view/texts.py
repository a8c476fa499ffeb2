"""Tags, parameters and words of MLflow's runs."""

from collections.abc import Mapping

from prism_bench.analysis.schema.records import Cell, Plan, PlanRow, Record
from prism_bench.experiments.tracking.payload import flat_params

VIEW = 2
"""Raise it when names change: runs with a lower one are replaced (`PlanView`). 0.4.0 had none."""
LONGEST_NOTE = 7500
"""Letters; MLflow takes 8,000 bytes of a tag."""
_COMMIT = "mlflow.source.git.commit"


def view_of(tags: Mapping[str, str]) -> int:
    """The version of the names of a run, by its tags."""
    known = tags.get("prism.view", "1")
    return int(known) if known.isdigit() else 1


def plan_tags(plan: Plan) -> dict[str, str]:
    """Tags of a plan's run."""
    return _common_tags(plan) | {"prism.kind": "plan"}


def cell_tags(plan: Plan, row: PlanRow, cell: Cell) -> dict[str, str]:
    """Tags of a cell's run; lists of runs group by `variant`."""
    tags = {
        "prism.kind": "cell",
        "prism.record": cell.record,
        "variant": row.label,
        "row": row.id,
        "seed": str(cell.seed),
    }
    if cell.k_sample is not None:
        tags["k_sample"] = str(cell.k_sample)
    if row.trained_on:
        tags["trained_on"] = row.trained_on
    return _common_tags(plan) | tags


def commit_tags(commit: str) -> dict[str, str]:
    """Tags of the commit of a user's project, as `project_commit` says it; none for "" ."""
    return {_COMMIT: commit.split(maxsplit=1)[0], "prism.commit": commit} if commit else {}


def shared_commit(records: Mapping[str, Record]) -> str:
    """The commit that all records have; "" where there is none or several."""
    commits = {record.commit or "" for record in records.values()}
    return commits.pop() if len(commits) == 1 else ""


def _common_tags(plan: Plan) -> dict[str, str]:
    return {
        "prism.plan": plan.plan,
        "prism.view": str(VIEW),
        "experiment": plan.experiment,
        "scale": plan.scale,
        "dataset": plan.dataset.label,
        "mlflow.source.name": plan.command,
        "mlflow.source.type": "LOCAL",
    }


def plan_params(plan: Plan) -> dict[str, str]:
    """Parameters of a plan's run: experiment, scale, data, seeds, and what was set."""
    facts = plan.dataset.model_dump(exclude={"label", "digest"})
    asked = {
        "experiment": plan.experiment,
        "scale": plan.scale,
        "seeds": ",".join(map(str, plan.seeds)),
        "split_seed": plan.split_seed,
        "dataset": {"label": plan.dataset.label, **facts},
        "set": dict(setting.split("=", 1) for setting in plan.settings),
    }
    return flat_params(asked)


def plan_note(plan: Plan, comparison: str) -> str:
    """Markdown that stands on the page of a plan's run. comparison: the address of the page that compares its cells."""
    lines = [
        f"**{plan.title}**",
        "",
        *([f"[Compare the runs]({comparison})", ""] if comparison else []),
        f"* data: {plan.dataset.label}, {plan.dataset.images:,} images of {plan.dataset.resolution} pixels, scale "
        f"{plan.scale}",
        f"* seeds: {', '.join(map(str, plan.seeds))}",
        f"* command: `{plan.command}`",
        *(f"* {choice}: {value}" for choice, value in plan.choices.items()),
        "",
        "| row | name in metrics | trained on | runs |",
        "|---|---|---|---|",
    ]
    for row in plan.rows:
        label, trained_on = (text.replace("|", "\\|") for text in (row.label, row.trained_on))
        lines.append(f"| {label} | {row.id} | {trained_on} | {len(row.cells)} |")
    lines += [
        "",
        "Metrics of this run are means over seeds: measured/METRIC/NAME. The records in the store are the truth.",
    ]
    note = "\n".join(lines)
    if len(note) <= LONGEST_NOTE:
        return note
    return plan_note(plan, "") if comparison else note[:LONGEST_NOTE]
