"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_STORE = "prism-bench-store"

StoreOption = Annotated[
    Path,
    typer.Option("--store", envvar="PRISM_BENCH_STORE", help="Folder that keeps everything computed."),
]
