"""What the README and the documents tell a reader to type: every name in it is real."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from prism_bench.experiments.cli.main import app
from prism_bench.experiments.options.texts import names, pairs
from prism_bench.experiments.paper.experiment import Experiment, merged_rows
from prism_bench.experiments.paper.names import NUMBERED, PAPER_ORDER
from prism_bench.experiments.paper.scales import scale_named
from prism_bench.experiments.planning.metric_names import metric_called
from prism_bench.experiments.planning.request import ONLY
from prism_bench.experiments.planning.settings import apply_setting
from prism_bench.experiments.tuning.space import parameters
from prism_bench.prism.component import Component, member, with_setting
from prism_bench.prism.variants.variant import Variant

ROOT = Path(__file__).parent.parent
NAMES = {"dataset", "encoder", "sampler"}
"""Options whose value is the name of a member of the family called so."""


RUN = re.compile(r"^```\w+ run", re.MULTILINE)
"""In pages whose commands are run when the site is built; these are not looked at here."""
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]+))?\)")


def pages() -> list[Path]:
    """What is written in Markdown: at the root of the repository, and all of docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def typed_lines() -> list[str]:
    """Every line of these pages that is a command."""
    texts = [path.read_text() for path in pages()]
    lines = [
        line.partition(" #")[0].strip()
        for text in texts
        for line in text.replace("&& ", "\n").splitlines()
        if line.startswith("prism-bench ") and not RUN.search(text)
    ]
    return list(dict.fromkeys(lines))


def parsed(line: str) -> tuple[str, dict[str, Any]]:
    """(command, parameters); a usage error where the command or one of its options is none."""
    words = shlex.split(line)[1:]
    command, name = get_command(app), ""
    while hasattr(command, "commands"):
        word = words.pop(0)
        command, name = command.commands[word], f"{name} {word}".strip()
    return name, command.make_context(name, words).params


def rows_of(name: str, scale: str) -> set[str]:
    experiment = Experiment.called(NUMBERED.get(name, name))
    scales = scale_named(scale)
    rows = merged_rows(experiment, experiment.panels, scales.on(experiment.panels[0]))
    return {row.id for row in (*rows, *experiment.controls())}


def check(line: str) -> None:
    command, given = parsed(line)
    given = {name: value for name, value in given.items() if value}
    scales = scale_named(given.get("scale", "laptop"))
    scale = scales.whole or next(iter(scales.panels.values()))
    for option in given.keys() & NAMES - ({"sampler"} if command == "tune" else set()):
        member(option, given[option])
    # One's own metrics, as one's own rows, come with the file that defines them.
    for name in names(given["metrics"]) if "metrics" in given and "plugins" not in given else ():
        metric_called(name, scale.metrics)
    check_rows(given)
    for setting in given.get("settings", ()):
        if command == "data embeddings export":
            path, _, value = setting.partition("=")
            with_setting(member("encoder", given["encoder"])(), path, value)
        else:
            scale = apply_setting(scale, setting)
    if command == "tune":
        parameters(given["target"], names(given["over"]) if "over" in given else (), (), scale)
    if command == "list":
        assert given.get("family") in {None, "scale", *Component.members}
    if command == "data prepare":
        member("dataset", given["name"])


def check_rows(given: dict[str, Any]) -> None:
    """Experiments and variants."""
    experiments = [one for name in given.get("experiments", ()) for one in (PAPER_ORDER if name == "all" else [name])]
    extra = {*given.get("extra", ()), *filter(None, [given.get("variant")])}
    for name in () if "plugins" in given else extra:
        Variant.called(name)
    rows = extra.union(*(rows_of(name, given.get("scale", "laptop")) for name in experiments))
    for key, value in pairs(given["only"]) if "only" in given else ():
        assert key in {"variant", "seed", "k_sample", *ONLY}, key
        assert key != "variant" or set(value.split("|")) <= rows, value
    for run in (given.get("run", ""), *given.get("what", ())):
        experiment, slash, row = run.partition("/")
        if slash:
            assert row.partition("@")[0] in rows_of(experiment, "laptop"), run


@pytest.mark.parametrize("line", typed_lines())
def test_what_the_documents_tell_to_type_is_real(line: str) -> None:
    check(line)


def test_there_are_such_lines() -> None:
    assert len(typed_lines()) > 40


def anchors(text: str) -> set[str]:
    """What the headings of a page are reached by, as the common hosts make it of them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


MADE = {"reference/commands.md", "reference/python.md", "reference/schemas.md"}
"""Pages of the site that are made when it is built, which follows its links itself."""


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for place, anchor in LINK.findall(FENCE.sub("", page.read_text())):
        target = (page.parent / place).resolve() if place else page
        if target.is_relative_to(ROOT / "docs") and target.relative_to(ROOT / "docs").as_posix() in MADE:
            continue
        assert target.exists(), place
        assert not anchor or anchor in anchors(target.read_text()), f"{place}#{anchor}"


@pytest.mark.parametrize(
    "line",
    [
        "run table9",
        "run table1 --with prsm",
        "run table1 --set training.imges=1",
        "run table1 --only variant=prsm",
        "run table1 --only colour=red",
        "run table1 --metrics fid9",
        "run table1 --dataset toyface",
        "run table1 --scale huge",
        "run table1 --no-such-option",
        "rum table1",
        "train prsm",
        "sample table1/prsm",
        "compare table1/prism tabel1/prism",
        "tune k-mx",
        "list famly",
        "data prepare cifar11",
        "data embeddings export --encoder clipp --out e.npz",
        "data embeddings export --set nothing=1 --out e.npz",
    ],
)
def test_a_name_that_is_none_would_be_found(line: str) -> None:
    with pytest.raises(Exception, match=r"."):
        check(f"prism-bench {line}")
