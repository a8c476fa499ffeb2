"""What the code base promises about itself."""

import ast
import subprocess
import sys
import time
import tomllib
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


def imports(path: Path) -> set[str]:
    """Which of the four folders a file imports from, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        assert not {name.partition(".")[0] for name in names} & set(PACKAGES), f"{path}: name the package prism_bench"
        found |= {name.split(".")[1] for name in names if name.startswith("prism_bench.")}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        wrong = (imports(path) & set(PACKAGES)) - ALLOWED[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running `code`."""
    script = f"import sys\n{code}\nprint(' '.join(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_analysis_and_reports_need_no_torch() -> None:
    loaded = modules_after("import prism_bench.analysis.report, prism_bench.analysis.console, prism_bench.experiments.reporting")
    assert not loaded & {"torch", "mlflow", "faiss", "timm"}


def test_help_loads_nothing_heavy_and_answers_at_once() -> None:
    code = (
        "sys.argv = ['prism-bench', '--help']\nfrom prism_bench.experiments.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print()"
    )
    assert not modules_after(code) & {"torch", "mlflow", "open_clip", "faiss", "pandas", "matplotlib", "scipy", "numpy"}
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import prism_bench.experiments.cli"], check=True, cwd=ROOT)
        seconds.append(time.perf_counter() - started)
    # Half a second on an idle core; the bound leaves room for a busy one.
    assert min(seconds) < 2.0


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


def test_readme_commands_parse() -> None:
    """Every `prism-bench` line of the README names real commands, options, experiments, variants and settings."""
    import shlex

    from typer.main import get_command

    from prism_bench.experiments.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    lines = [
        line.partition("#")[0].strip()
        for line in (ROOT / "README.md").read_text().replace("&& ", "\n").splitlines()
        if line.startswith("prism-bench ")
    ]
    assert len(lines) > 20
    for line in lines:
        first, *words = shlex.split(line)[1:]
        command = commands[first]
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_shapes_in_signatures_are_checked_while_tests_run() -> None:
    import torch
    from jaxtyping import TypeCheckError

    from prism_bench.prism.diffusion import EDM
    from prism_bench.prism.patches import crop

    with pytest.raises(TypeCheckError):
        EDM().draw_sigma("4", torch.Generator())  # type: ignore[arg-type]
    with pytest.raises(TypeCheckError):
        crop(torch.zeros(2, 3, 8, 8), torch.zeros(2, 2, dtype=torch.int64), 4)
