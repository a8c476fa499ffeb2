"""Labels of rows without the settings that all rows of a plan share: those stand once, in captions."""

from prism_bench.analysis.schema.records import Plan


def with_bare_labels(plan: Plan) -> Plan:
    """The plan, its labels without the words in brackets that say the plan's settings, where all computed rows end so.

    Plans hold such labels as `PRISM [training.images=128]`; one whose labels are bare is given back as it is.
    """
    suffix = _suffix(plan)
    if not suffix:
        return plan
    rows = tuple(row.model_copy(update={"label": row.label.removesuffix(suffix)}) for row in plan.rows)
    return plan.model_copy(update={"rows": rows})


def _suffix(plan: Plan) -> str:
    labels = [row.label for row in plan.rows if row.cells]
    fields = {setting.partition("=")[0] for setting in plan.settings}
    if not labels or not labels[0].endswith("]"):
        return ""
    # A label may have brackets of its own before these.
    starts = [place for place in range(len(labels[0])) if labels[0].startswith(" [", place)]
    ends = (labels[0][place:] for place in starts)
    said = (it for it in ends if it[2:].partition("=")[0] in fields)
    return next((it for it in said if all(label.endswith(it) for label in labels)), "")


def settings_of(plan: Plan) -> list[str]:
    """The settings in force: of those that were given twice the last."""
    return list({setting.partition("=")[0]: setting for setting in plan.settings}.values())
