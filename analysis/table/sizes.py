"""How large each row is, on what and how long it is trained: ours in the main table, the publication's beside it."""

from collections.abc import Sequence

import pandas as pd

from prism_bench.analysis import formatting
from prism_bench.analysis.frame.table_lines import TableLines
from prism_bench.analysis.schema.records import Plan
from prism_bench.analysis.table.caption import QUOTED_MARK
from prism_bench.analysis.table.table_model import Block, Column, Hole, Quoted, Row, Table, TableCell, Text

GROUP = "Published sizes and training times"
APART = 0.1
"""Relative difference from which two model sizes are not the same: to print whole millions alone takes 9% of 11M."""


def size_blocks(lines: TableLines) -> list[Block]:
    """Parameters, set sizes where the plan says them, and training time; a column where any row knows it."""
    sizes = lines.finished.dropna(subset="parameters").groupby("line")["parameters"].unique()
    spelled = sizes.map(_parameters)
    times = lines.costs["train_seconds"].dropna().map(lambda mean: Text(text=formatting.duration(mean), value=mean))
    known = lines.lines.dropna(subset="train_images")
    columns = (
        ("parameters", "Parameters" if known.empty else "Model size", spelled),
        ("retrieval_images", "Retrieval set", known["retrieval_images"].map(_images)),
        ("train_images", "Training set", known["train_images"].map(_images)),
        ("train_seconds", "Training time", times),
    )
    return [
        (Column(key=key, label=label, kind="count"), [_cell(lines, line, texts) for line in lines.lines.index])
        for key, label, texts in columns
        if len(texts)
    ]


def _parameters(own: Sequence[int]) -> Text:
    spelled = formatting.listing(formatting.parameters(size) for size in sorted(own))
    return Text(text=spelled, value=float(max(own)))


def _images(number: int) -> Text:
    return Text(text=formatting.count(number) if number else "none", value=float(number))


def _cell(lines: TableLines, line: int, texts: pd.Series) -> TableCell:
    return texts[line] if line in texts.index else Hole(reason=lines.summary(line) or "not recorded")


def quoted_size_blocks(lines: TableLines) -> list[Block]:
    """The publication's columns of these, where it says them of one dataset; empty where of none or of several."""
    quoted = lines.quoted_sizes
    if quoted["group"].nunique() != 1:
        return []
    own = [quoted[quoted["of_row"] == of_row] for of_row in lines.lines["of_row"]]
    return _columns(own, f"quoted: {quoted['group'].iloc[0]} ")


def published_sizes(plan: Plan, lines: TableLines) -> Table | None:
    """The publication's numbers as a table of their own where it has several datasets: a line for each and each row."""
    quoted = lines.quoted_sizes
    groups = quoted["group"].unique()
    if len(groups) < 2:
        return None
    own = [numbers for group in groups for _, numbers in quoted[quoted["group"] == group].groupby("of_row", sort=False)]
    blocks = _columns(own, "")
    rows = [
        Row(
            id=numbers["row"].iloc[0],
            label=f"{numbers['group'].iloc[0]}: {numbers['label'].iloc[0]}",
            kind="variant",
            cells=tuple(cells[index] for _, cells in blocks),
        )
        for index, numbers in enumerate(own)
    ]
    source = f" from {plan.quoted_source.partition(':')[0]}" if plan.quoted_source else ""
    return Table(
        name=plan.name,
        scale=plan.scale,
        columns=tuple(column for column, _ in blocks),
        rows=tuple(rows),
        caption=(
            f"{GROUP}: {plan.title}.",
            f"{QUOTED_MARK} Published numbers{source}; quoted, not measured here. Ours stand in the main table.",
        ),
        group=GROUP,
    )


def size_remarks(plan: Plan, lines: TableLines) -> list[str]:
    """Where a network at the scale of the publication is of another size than the published one."""
    if plan.scale != "paper":
        return []
    here = lines.finished.dropna(subset="parameters").drop_duplicates(["of_row", "parameters"])
    quoted = lines.quoted_sizes[lines.quoted_sizes["unit"] == "parameters"]
    both = here[["of_row", "label", "parameters"]].merge(quoted[["of_row", "group", "value"]], on="of_row")
    apart = both[(both["parameters"] / both["value"] - 1).abs() > APART]
    return [
        f"{line.label} has {formatting.parameters(line.parameters)} parameters here and "
        f"{formatting.published(line.value, 'parameters', 0)} in the publication ({line.group}): another network."
        for line in apart.itertuples()
    ]


def _columns(rows: Sequence[pd.DataFrame], before: str) -> list[Block]:
    """A column for each published size, in the order of the row that has most of them.

    rows: of each row of the table its quoted lines of the frame. before: what headings begin with.
    """
    units = {line.size_of: line.unit for own in sorted(rows, key=len, reverse=True) for line in own.itertuples()}
    blocks = []
    for name, unit in units.items():
        values = [dict(zip(own["size_of"], own["value"], strict=True)).get(name) for own in rows]
        cells: list[TableCell] = [Text(text="") if value is None else Quoted(value=value) for value in values]
        label = f"{before}{name}" if before else name.capitalize()
        blocks.append((Column(key=label, label=label, kind="quoted", mark=QUOTED_MARK, unit=unit), cells))
    return blocks
