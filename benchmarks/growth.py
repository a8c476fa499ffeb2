"""How a plan, a run and a report grow with the number of cells: CPU seconds, peak memory, and a picture.

    OMP_NUM_THREADS=1 python -m benchmarks.growth [--seeds 3,25,250] [--write]

Table 3 at smoke scale, four rows, more and more seeds. Each step is the command itself in a process of its own. What a
run makes is faked at the stages' boundary: instead of working, a stage takes the files that seed 0 has made of the same
row, and metrics are shifted a little by the seed; everything around (plan, scheduler, store, records, tables, pictures,
page) is real. --write puts the table and the picture into docs.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.pages import DOCS, put

ROOT = Path(__file__).parents[1]
PICTURE = DOCS / "growth.png"
ROWS = 4
TINY = (
    "--scale smoke --no-mlflow --workers 0 --set samples=8 --set training.images=32 --set training.rampup_images=0 "
    "--set sampler.steps=2 --set dataset.size=32 --set denoiser.channels=4"
)
STEPS = {
    "plan": "run ablation-table3 {tiny} --dry-run",
    "run": "run ablation-table3 {tiny}",
    "run again": "run ablation-table3 {tiny}",
    "report": "report ablation-table3 --format latex,markdown,csv,html --out {out}",
}


class Cost(NamedTuple):
    """Of one step: CPU seconds, peak of the memory in MB."""

    seconds: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory by the number of cells.")
    parser.add_argument("--seeds", default="3,25,250", help="numbers of seeds of the four rows")
    parser.add_argument("--write", action="store_true", help="put table and picture into docs")
    options = parser.parse_args()
    sizes = [int(size) for size in options.seeds.split(",")]
    found: dict[int, dict[str, Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template"
        step(template, STEPS["run"].format(tiny=f"{TINY} --seeds 0"), fake_of=None)
        for size in sizes:
            store, tiny = Path(folder) / f"of-{size}", f"{TINY} --seeds 0-{size - 1}"
            found[size * ROWS] = {}
            for name, line in STEPS.items():
                command = line.format(tiny=tiny, out=Path(folder) / f"report-{size}")
                cost = found[size * ROWS][name] = step(store, command, fake_of=template)
                print(f"{size * ROWS} cells, {name}: {cost.seconds:.1f} CPU s, {cost.megabytes:.0f} MB", flush=True)
            shutil.rmtree(store)
    text = table(found)
    print(f"\n{text}")
    if options.write:
        put("performance.md", "growth.py", text)
        picture(found)


def step(store: Path, line: str, fake_of: Path | None) -> Cost:
    """Type a command in a process of its own."""
    faked = {} if fake_of is None else {"FAKE_OF": str(fake_of)}
    done = subprocess.run(
        [sys.executable, "-c", "from benchmarks.growth import typed; typed()", *line.split(), "--store", str(store)],
        cwd=ROOT,
        env={**os.environ, **faked, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{line}: {done.stderr[-2000:]}")
    return Cost(*json.loads(done.stderr.strip().splitlines()[-1]))


def typed() -> None:
    """The command, in this process; its cost is the last line of stderr."""
    from prism_bench.experiments.cli.main import main as program

    if "FAKE_OF" in os.environ:
        fake(Path(os.environ["FAKE_OF"]))
    try:
        program()
    except SystemExit as end:
        if end.code:
            raise
    print(json.dumps([time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3]), file=sys.stderr)


def fake(template: Path) -> None:
    """Let every stage take the files of the stage that differs from it in its seeds alone."""
    from prism_bench.prism.engine.stage import Stage, StageContext
    from prism_bench.prism.stages import data, measure, model

    made: dict[str, Path] = {}
    for path in sorted(template.glob("stages/*/*/stage.json")):
        manifest = json.loads(path.read_text())
        made.setdefault(seedless(manifest["identity"]), path.parent)

    def take(stage: Stage, context: StageContext) -> None:
        for path in made[seedless(stage.identity)].iterdir():
            if path.name != "stage.json" and not path.name.startswith("."):
                shutil.copyfile(path, context.folder / path.name)
        values = context.folder / "values.json"
        if values.exists():
            shift = 1 + 0.01 * (int(stage.address.key[:8], 16) / 2**31 - 1)
            moved = [{**value, "value": value["value"] * shift} for value in json.loads(values.read_text())]
            values.write_text(json.dumps(moved))

    for module in (data, measure, model):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Stage) and "run" in vars(kind):
                kind.run = take  # type: ignore[method-assign]


def seedless(identity: Any) -> str:
    """A stage's identity as text, without seeds."""
    return json.dumps(identity if not isinstance(identity, dict | list) else _bare(identity), sort_keys=True)


def _bare(value: Any) -> Any:
    if isinstance(value, list):
        return [_bare(one) for one in value]
    if isinstance(value, dict):
        return {name: _bare(one) for name, one in value.items() if "seed" not in name}
    return value


def table(found: dict[int, dict[str, Cost]]) -> str:
    """CPU seconds and memory of each step, a line for each number of cells."""
    heads = " | ".join(f"{name}, s | MB" for name in STEPS)
    lines = [f"| cells | {heads} |", "|---:|" + "---:|" * (2 * len(STEPS))]
    for cells, costs in found.items():
        shown = " | ".join(f"{cost.seconds:.1f} | {cost.megabytes:.0f}" for cost in costs.values())
        lines.append(f"| {cells:,} | {shown} |")
    return "\n".join(lines)


def picture(found: dict[int, dict[str, Cost]]) -> None:
    """Both by the number of cells, on logarithmic axes, beside a line of what grows in proportion."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, (name, what) in zip(figure.subplots(1, 2), curves(), strict=True):
        for label in STEPS:
            axes.plot(list(found), [what(costs[label]) for costs in found.values()], "o-", label=label)
        first, last = min(found), max(found)
        top = max(what(cost) for cost in found[last].values())
        axes.plot([first, last], [top * first / last, top], ":", color="grey", label="in proportion")
        axes.set(xscale="log", yscale="log", xlabel="cells", ylabel=name)
        axes.legend(fontsize=7)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def curves() -> Iterator[tuple[str, Any]]:
    yield "CPU seconds", lambda cost: cost.seconds
    yield "peak memory, MB", lambda cost: cost.megabytes


if __name__ == "__main__":
    main()
