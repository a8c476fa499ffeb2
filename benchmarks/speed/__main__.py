"""How long the work takes, ours beside another's, in turns in one run; each line says which is ours.

    OMP_NUM_THREADS=1 python -m benchmarks.speed [NAME ...] [--write]

A name is a module of this folder that has `rows()`; without one all are run, in under fifteen minutes. --write puts
each module's table into docs/performance.md. Peers are run for real where they are installed (the dependency group
`benchmarks`); one that is not is named in its line. `nox -s benchmarks` does all of it.
"""

import argparse
import platform
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import psutil
import torch

from benchmarks.pages import put
from benchmarks.speed.pairs import HEADER, Row, measured, table

NAMES = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_") and path.stem != "pairs"
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Our way beside others', in turns.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in options.names or NAMES:
        began = time.monotonic()
        found = run(import_module(f"benchmarks.speed.{name}").rows())
        print(f"({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
        if options.write:
            put("performance.md", f"speed/{name}.py", f"{found}\n\n*{measured_on()}*")


def run(rows: Iterable[Row]) -> str:
    """The table of some rows, each line printed as soon as it is known."""
    print(HEADER)
    lines = []
    for row in rows:
        for line in measured(row):
            print("| " + " | ".join(line.cells()) + " |", flush=True)
            lines.append(line)
    return table(lines)


def measured_on() -> str:
    """What the figures are of."""
    cores = psutil.cpu_count()
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {cores} cores ({platform.machine()}), {torch.get_num_threads()} "
        f"thread(s), torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}."
    )


if __name__ == "__main__":
    main()
