"""What stands in several places of a release says the same in all of them."""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

import prism_bench

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements" / "paper.txt").read_text()
KINDS = {"Breaking", "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def headings(level: int) -> list[str]:
    """Those of the changelog."""
    return re.findall(rf"^{'#' * level} (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def releases() -> list[tuple[Version, date]]:
    """The released versions of the changelog with their dates, the newest first."""
    unreleased, *dated = headings(2)
    assert unreleased == "[Unreleased]"
    found = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", heading) for heading in dated]
    assert all(found), dated
    return [(Version(it[1]), date.fromisoformat(it[2])) for it in found if it is not None]


def test_the_changelog_keeps_its_form() -> None:
    assert releases() == sorted(releases(), reverse=True)
    assert [day for _, day in releases()] == sorted((day for _, day in releases()), reverse=True)
    assert set(headings(3)) <= KINDS


def test_versions_agree() -> None:
    """The package's is that of the newest release, or one under way after it; the citation is of the release."""
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "prism_bench.__version__"}
    (version, day), *_ = releases()
    ours = Version(prism_bench.__version__)
    assert ours == version or (ours.is_devrelease and ours > version)
    cited = dict(re.findall(r"^([\w-]+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert (Version(cited["version"]), date.fromisoformat(cited["date-released"])) == (version, day)
    assert cited["license"] == PROJECT["project"]["license"]


def locked() -> dict[str, Version]:
    return {name: Version(version) for name, version in re.findall(r"^([\w.-]+)==(\S+) \\$", LOCK, re.MULTILINE)}


def test_the_lock_holds_every_requirement_within_its_range() -> None:
    pinned = locked()
    for text in PROJECT["project"]["dependencies"]:
        requirement = Requirement(text)
        name = requirement.name.lower().replace("_", "-")
        assert pinned[name] in requirement.specifier, text


def test_the_lock_alone_pins_and_knows_no_place() -> None:
    """Every line of it is a version with its hashes: no address, no folder; pyproject has ranges."""
    lines = [line for line in LOCK.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}(?: \\)?", line) for line in lines)
    assert len(re.findall(r"\\\n    --hash", LOCK)) >= len(locked())
    groups = (PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"])
    further = [text for group in groups for texts in group.values() for text in texts]
    for text in (*PROJECT["project"]["dependencies"], *further):
        operators = {it.operator for it in Requirement(text).specifier}
        assert operators, f"{text} says no lowest version"
        assert operators <= {">=", "<"}, text
