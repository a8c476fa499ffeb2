"""What is installed: one import package, whole, and nothing else."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from test_architecture import PACKAGES, ROOT, files_of

DATA = {
    "prism_bench/py.typed",
    *(f"prism_bench/{path.relative_to(ROOT)}" for path in (ROOT / "analysis/formats/html/templates").iterdir()),
    "prism_bench/experiments/paper/paper.json",
    "prism_bench/prism/data/official/imagenet100.txt",
}
TINY = (
    "--scale smoke --no-mlflow --workers 1 --only variant=prism --set samples=8 --set training.images=32 "
    "--set training.rampup_images=0 --set sampler.steps=2 --set dataset.size=64"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, made from a copy of the sources."""
    sources, out = tmp_path_factory.mktemp("sources") / "prism-bench", tmp_path_factory.mktemp("dist")
    hidden = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "prism-bench-store")
    shutil.copytree(ROOT, sources, ignore=hidden)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(sources)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return out


def modules() -> set[str]:
    ours = {f"prism_bench/{path.as_posix()}" for package in PACKAGES for path in files_of(package)}
    return ours | {path.relative_to(ROOT).as_posix() for path in (ROOT / "prism_bench").rglob("*.py")}


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = {name for name in names if not name.partition("/")[0].endswith(".dist-info")}
    assert inside == modules() | DATA


def test_the_sdist_holds_what_builds_and_tests_it(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    sources = {name if (ROOT / name).is_file() else name.removeprefix("prism_bench/") for name in modules() | DATA}
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")}
    others = {"pyproject.toml", "setup.py", "README.md", "LICENSE", "CHANGELOG.md"}
    others |= {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.ipynb")}
    others |= {"CITATION.cff", "requirements/paper.txt"}
    assert names >= sources | tests | others


def test_folders_of_the_users_own_disturb_nothing(built: Path, tmp_path: Path) -> None:
    """A repository with folders called as ours are, on the path before the installed package, in every process."""
    (wheel,) = built.glob("*.whl")
    site, repository = tmp_path / "site", tmp_path / "repository"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True)
    for name in PACKAGES:
        (repository / name).mkdir(parents=True)
        (repository / name / "__init__.py").write_text(f"raise RuntimeError('{name} of the user')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", str(site)])}
    environment.pop("PRISM_BENCH_STORE", None)

    def python(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)

    where = python("-c", "import prism_bench.prism; print(prism_bench.prism.__file__)")
    assert where.stdout.strip() == str(site / "prism_bench" / "prism" / "__init__.py"), where.stderr
    done = python("-m", "prism_bench", "run", "ablation-table3", *TINY.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"  done  .*training", done.stdout)
    assert "FAILED" not in done.stdout
    assert python("-m", "prism_bench", "list", "variant").returncode == 0


PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
)


@pytest.mark.parametrize("page", PAGES)
def test_imports_of_the_examples_exist(page: str) -> None:
    """Every import line of a `python` block of the documentation."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if re.match(r"(from|import) ", line)]
    assert lines or page != "README.md"
    for line in lines:
        exec(line, {})  # noqa: S102 - lines of our own documentation
