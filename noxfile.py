"""Checks of the project: `nox` runs them all. Those that need torch share one environment of about 6 GB."""

import os
import sys
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests", "smoke"]

PROJECT = nox.project.load_toml("pyproject.toml")
SHARED = Path(".nox", "shared").resolve()
PROGRAMS = SHARED / ("Scripts" if os.name == "nt" else "bin")


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the shared environment, which comes first on the PATH."""
    path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", "")])
    session.run(str(PROGRAMS / program), *arguments, external=True, env={"PATH": path})


def install(session: nox.Session) -> None:
    """Make the shared environment: the package as a user gets it, and what the checks need besides."""
    if not (SHARED / "pyvenv.cfg").exists():
        session.run(sys.executable, "-m", "venv", str(SHARED), external=True)
    groups = nox.project.dependency_groups(PROJECT, "test", "types")
    run(session, "python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet", ".", *groups)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Mypy, strict, on the installed package: in the checkout it would take the folders for packages of their own."""
    install(session)
    settings = Path("pyproject.toml").resolve()
    with tempfile.TemporaryDirectory() as folder, session.chdir(folder):
        run(session, "mypy", "--config-file", str(settings), "-p", "prism_bench")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Pytest: everything, on the installed package, warnings as errors. Arguments after -- go to pytest."""
    install(session)
    run(session, "pytest", *session.posargs)


MAIN = "run ablation-table3 --scale smoke"
TINY = (
    "--scale smoke --no-mlflow --store tiny "
    "--set samples=16 --set training.images=128 --set training.rampup_images=0 --set sampler.steps=3 "
    "--set dataset.size=64"
)
SMOKE = (
    MAIN,
    MAIN,
    "report ablation-table3",
    "run all --scale paper --dry-run",
    f"run all {TINY}",
    f"schedule-sweep --k-sample 1,2,4 {TINY}",
    "report all --format latex,markdown,csv,html --out report --store tiny",
    f"tune k-max --values 1,2 --trials 2 {TINY}",
    f"train prism {TINY}",
    "sample table1/prism --n 16 --out samples --store tiny",
    "evaluate table1/prism --metrics frechet --store tiny",
    "compare table1/patchd table1/prism --store tiny",
    "evaluate samples samples --metrics frechet --store tiny",
    "data embeddings export --encoder efficientnet-lite0 --set input_size=32 --dataset digits --out e.npz --store tiny",
    "data embeddings import e.npz --dataset digits --store other",
    "doctor --store tiny",
    "cache ls --store tiny",
    "cache verify --store tiny",
    "bundle all --out everything.zip --store tiny",
)


@nox.session(venv_backend="none")
def results(session: nox.Session) -> None:
    """docs/results anew: its runs, its bundle, its pages. Hours; the same command resumes. Arguments after --."""
    install(session)
    run(session, "python", "benchmarks/results.py", *session.posargs)


@nox.session(venv_backend="none")
def smoke(session: nox.Session) -> None:
    """What a user types, in an empty folder: Table 3 at smoke scale twice, then every command on a tiny store."""
    install(session)
    with tempfile.TemporaryDirectory() as folder, session.chdir(folder):
        for command in SMOKE:
            run(session, "prism-bench", *command.split())
