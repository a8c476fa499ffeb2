"""What the code base promises about itself."""

import ast
import os
import re
import subprocess
import sys
import time
import tomllib
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("prism", "experiments", "analysis", "baselines")
ALLOWED = {
    "prism": {"prism"},
    "baselines": {"baselines", "prism"},
    "analysis": {"analysis"},
    "experiments": set(PACKAGES),
}
ROOMS = {
    "prism": (
        ". engine executors executors/ray executors/slurm weights data data/user_images data/official encoders "
        "conditioning methods training patch_diffusion metrics variants stages"
    ),
    "baselines": ". rissole/first_stage rissole",
    "analysis": ". schema frame stats table figures formats formats/html report",
    "experiments": (
        ". paper options data planning store reports tracking mlflow_view execution tools tools/bundling "
        "tools/exchange tuning api cli"
    ),
}
"""The folders of each package, from the ground up: a file imports from its own folder and from those before it."""


def files_of(package: str) -> list[Path]:
    return [path.relative_to(ROOT) for path in sorted((ROOT / package).rglob("*.py"))]


def module_file(name: str) -> Path | None:
    """The file of a module of ours by its dotted name below prism_bench; None where there is no such module."""
    path = Path(*name.split("."))
    found = [one for one in (path.with_suffix(".py"), path / "__init__.py") if (ROOT / one).is_file()]
    return found[0] if found else None


def imports(path: Path) -> set[Path]:
    """Our files that a file of ours imports, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` and `from module import name`
            own = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [name for name in own if module_file(name.removeprefix("prism_bench."))] or [node.module]
    assert not {name.partition(".")[0] for name in names} & set(PACKAGES), f"{path}: name the package prism_bench"
    found = (module_file(name.removeprefix("prism_bench.")) for name in names if name.startswith("prism_bench."))
    return {one for one in found if one is not None} - {path}


def room_of(path: Path) -> str:
    """The folder of a file, below its package."""
    return Path(*path.parent.parts[1:]).as_posix()


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way_between_packages(package: str) -> None:
    for path in files_of(package):
        wrong = {one.parts[0] for one in imports(path)} - ALLOWED[package]
        assert not wrong, f"{path} imports {wrong}"


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way_between_folders(package: str) -> None:
    rooms = ROOMS[package].split()
    assert {room_of(path) for path in files_of(package)} == set(rooms)
    for path in files_of(package):
        for needed in imports(path):
            if needed.parts[0] == package:
                assert rooms.index(room_of(needed)) <= rooms.index(room_of(path)), f"{path} imports {needed}"


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {path: imports(path) for package in PACKAGES for path in files_of(package)}
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_hold_a_dozen_files(package: str) -> None:
    sizes = Counter(path.parent for path in files_of(package) if path.name != "__init__.py")
    assert max(sizes.values()) <= 13, sizes.most_common(3)


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running `code`, whatever that prints."""
    script = f"import sys\n{code}\nprint(); print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


def test_analysis_and_reports_need_no_torch() -> None:
    loaded = modules_after(
        "from prism_bench import analysis, experiments\nimport prism_bench.analysis.report.write_report\n"
        "import prism_bench.analysis.formats.console, prism_bench.experiments.reports.reporting"
    )
    assert not loaded & {"torch", "mlflow", "faiss", "timm"}


def test_every_module_that_declares_a_component_is_known_by_its_text() -> None:
    """Others are not imported where members are looked up."""
    code = (
        "import pkgutil, importlib\n"
        "from prism_bench.prism.component import Component, load_members, registered_packages\n"
        "load_members()\nknown = {family: set(found) for family, found in Component.members.items()}\n"
        "for package in registered_packages():\n"
        "    for info in pkgutil.walk_packages(importlib.import_module(package).__path__, package + '.'):\n"
        "        if not info.name.endswith('__main__'):\n"
        "            importlib.import_module(info.name)\n"
        "assert 'prism_bench.prism.patch_diffusion.unet' in sys.modules\n"
        "assert {family: set(found) for family, found in Component.members.items()} == known, known"
    )
    modules_after(code)


@pytest.mark.parametrize("line", ["--help", "list", "list variants", "--version", "run --help"])
def test_what_answers_at_once_loads_nothing_heavy(line: str) -> None:
    code = (
        f"sys.argv = ['prism-bench', *{line.split()!r}]\nfrom prism_bench.experiments.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert not modules_after(code) & {
        "torch",
        "mlflow",
        "open_clip",
        "faiss",
        "pandas",
        "matplotlib",
        "scipy",
        "numpy",
    }


def test_help_answers_at_once() -> None:
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import prism_bench.experiments.cli.main"], check=True, cwd=ROOT)
        seconds.append(time.perf_counter() - started)
    # Half a second on an idle core; the bound leaves room for a busy one.
    assert min(seconds) < 2.0


def test_no_process_loads_rissole_without_a_row_of_it(tmp_path: Path) -> None:
    tiny = "--scale smoke --set samples=8 --set training.images=64 --set training.rampup_images=16"
    tiny += " --set sampler.steps=2 --set dataset.size=32 --set denoiser.channels=4 --no-mlflow --workers 1 --store s"
    for line, processes in (
        (f"run ablation-table3 {tiny} --only variant=patchd", 2),
        (f"train prism {tiny}", 2),
        ("report ablation-table3 --store s", 0),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "prism_bench", *line.split()],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},  # workers say too what they import
        )
        assert done.returncode == 0, done.stdout
        modules = [
            text.rpartition("|")[2].strip() for text in done.stderr.splitlines() if text.startswith("import time")
        ]
        assert modules.count("prism_bench.prism.patch_diffusion.patch_method") == processes
        assert not [name for name in modules if "rissole" in name]


def test_configured_paths_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for path in project["tool"]["pytest"]["ini_options"]["testpaths"]:
        assert (ROOT / path).is_dir()
    for folder in project["tool"]["setuptools"]["package-dir"].values():
        assert (ROOT / folder / "__init__.py").exists()
    for target in project["project"]["entry-points"]["prism_bench.plugins"].values():
        assert modules_after(f"import importlib; importlib.import_module({target!r})")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", ".ci/run", "docs/laptop-scale.md"):
        assert (ROOT / name).is_file(), name


def test_shapes_in_signatures_are_checked_while_tests_run() -> None:
    import torch
    from jaxtyping import TypeCheckError

    from prism_bench.prism.patch_diffusion.cropping import crop
    from prism_bench.prism.patch_diffusion.diffusion import EDM

    with pytest.raises(TypeCheckError):
        EDM().draw_sigma("4", torch.Generator())  # type: ignore[arg-type]
    with pytest.raises(TypeCheckError):
        crop(torch.zeros(2, 3, 8, 8), torch.arange(2), torch.zeros(2, 2, dtype=torch.int64), 4)


def test_the_map_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:prism_bench|prism|experiments|analysis|baselines|tests)/[\w/.]*)`", text))
    assert len(named) > 50
    assert not {path for path in named if not (ROOT / path).exists()}


def test_the_map_lists_every_folder() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| `")]
    for package, rooms in ROOMS.items():
        (line,) = (line for line in table if line.startswith(f"| `{package}/`"))
        listed = [word.rstrip("/") for word in re.findall(r"`([\w/]+/)`", line)[1:]]
        assert listed == [
            room for room in rooms.split()[1:] if not room.startswith(("data/", "executors/", "formats/", "tools/"))
        ]
