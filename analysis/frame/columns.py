"""The columns of the frame of results: names, dtypes, meanings and units, declared here and nowhere else."""

from functools import partial
from typing import NamedTuple


class Column(NamedTuple):
    """A pandas dtype, and what stands in the column, with its unit."""

    dtype: str
    meaning: str


_text, _count, _number = (partial(Column, dtype) for dtype in ("string", "Int64", "float64"))
COLUMNS: dict[str, Column] = {
    "experiment": _text("name of the experiment"),
    "panel": _text("the paper's dataset where one experiment has a table for each"),
    "row": _text("id of the table's row, as `--only variant=` takes it"),
    "label": _text("what tables call the row, without the settings that all rows of its plan share"),
    "variant": _text("the parts of the row's method, `family=member`, in alphabetical order"),
    "control": Column("boolean", "whether the row is one that the paper's table does not have"),
    "trained_on": _text("the images that the row is trained on"),
    "k_sample": _count("neighbours at sampling; of a quoted number only where the publication names it"),
    "seed": _count("seed of the training and of the sampling noise"),
    "kind": _text("`measured` here, or `quoted` from a publication"),
    "metric": _text(
        "name of the metric, encoder included; of a quoted number its column and metric in the publication"
    ),
    "metric_label": _text("what tables call the metric"),
    "group": _text(
        "the further table that shows the metric, empty for the main one; of a quoted number its column in the "
        "publication"
    ),
    "value": _number("the number, in `unit`"),
    "standard_error": _number("of the value over the images that it is of, in `unit`, where the metric knows it"),
    "floor": _number(
        "the real-data baseline: the metric of real images in place of generated ones, in `unit`, mean over random "
        "splits of them"
    ),
    "floor_spread": _number("its standard deviation between the splits"),
    "floor_n": _count("real images in place of generated ones in the real-data baseline"),
    "n": _count("generated images that were measured"),
    "reference_n": _count("real images that they were measured against; 0 where there is no such set"),
    "better": _text("`lower` or `higher`: where the metric is better; empty for a quoted size or time"),
    "unit": _text(
        "unit of the metric, empty where it has none; of a quoted size `parameters` or `images`, of a time `h`"
    ),
    "about": _text("what the metric is; of a quoted number its source"),
    "fingerprint": _text("identifies the way of measuring: only values of one fingerprint compare"),
    "scale": _text("scale at which the value was recorded, or the plan's"),
    "dataset": _text("label of the dataset"),
    "dataset_digest": _text("digest of its images"),
    "resolution": _count("pixels along an edge of an image"),
    "images": _count("images of the dataset X"),
    "retrieval": _count("those of them in the retrieval set D"),
    "train": _count("those of them in X_train"),
    "train_images": _count("images that the row is trained on, where its table shows it"),
    "retrieval_images": _count("images that the row retrieves from, where its table shows it"),
    "parameters": _count("parameters of the networks"),
    "active_parameters": _count("those of them that take part in sampling"),
    "train_seconds": _number("time of all trainings that the row rests on, seconds"),
    "sample_seconds": _number("time of the sampling, seconds"),
    "images_seen": _count("images, or patches of them, seen in training"),
    "train_flops": _number("floating-point operations of the training, a multiply and its add counted as two"),
    "sample_flops": _number("floating-point operations of the sampling"),
    "peak_bytes": _count("highest memory, bytes"),
    "samples": _count("images that were sampled"),
    "model_bytes": _count("size of the model's file, bytes"),
    "database_bytes": _count("size of what neighbours are looked up in at sampling, bytes"),
    "record": _text("name of the cell's record, `records/<name>.json` in the store"),
    "plan": _text(
        "digest of the plan, `experiments/<experiment>/<plan>.json` in the store; of several joined ones a digest of "
        "theirs"
    ),
    "settings": _text("what `--set` changed for all rows of the plan, with commas; empty where nothing"),
    "status": _text(
        "`done` with a value; `declined` by the metric, or the row as a whole; `absent` from a finished record, or no "
        "cell of the row; `pending`, `running`, `failed` or `blocked`: a cell that is not finished"
    ),
    "reason": _text("why there is no value"),
}
COSTS = (
    "parameters", "active_parameters", "train_seconds", "sample_seconds", "images_seen", "train_flops", "sample_flops",
    "peak_bytes", "samples", "model_bytes", "database_bytes",
)  # fmt: skip
"""The columns that a record fills whatever its metric."""


def as_markdown() -> str:
    """The columns as a Markdown table."""
    lines = ["| Column | dtype | What it holds |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {column.dtype} | {column.meaning} |" for name, column in COLUMNS.items()]
    return "\n".join(lines) + "\n"
