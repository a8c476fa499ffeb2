"""Checks of the project: `nox` runs them all. Those that need torch share one environment of about 6 GB."""

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "tests", "smoke"]
nox.options.reuse_existing_virtualenvs = True

PACKAGES = ("prism", "experiments", "analysis", "baselines")
PROJECT = nox.project.load_toml("pyproject.toml")
SHARED = ".nox/shared"


def install(session: nox.Session) -> None:
    """The package as a user gets it, and what the checks need besides."""
    groups = nox.project.dependency_groups(PROJECT, "test", "types")
    session.install(".", *groups)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(venv_location=SHARED)
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    install(session)
    session.run("mypy")


@nox.session(venv_location=SHARED)
def tests(session: nox.Session) -> None:
    """Pytest: everything, on the installed package, warnings as errors. Arguments after -- go to pytest."""
    install(session)
    session.run("pytest", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session(venv_location=SHARED)
def smoke(session: nox.Session) -> None:
    """The main command at smoke scale in an empty folder, twice, and the report."""
    install(session)
    session.cd(session.create_tmp())
    session.run("prism-bench", "run", "ablation-table3", "--scale", "smoke")
    session.run("prism-bench", "run", "ablation-table3", "--scale", "smoke")
    session.run("prism-bench", "report", "ablation-table3")
