"""A plug-in that was changed after something was made with it: nothing is computed anew, and nothing without a word."""

import json
from pathlib import Path

import pytest
from conftest import Cli
from tiny import RUN

from prism_bench.prism.code_digest import code_digest

PLUGIN = '''
from dataclasses import dataclass

import prism_bench as pb


@dataclass(frozen=True, kw_only=True)
class Brightness(pb.ImageMetric, name="brightness"):
    """How far the mean brightness is from that of real images."""
{field}
    def values(self, inputs):
        away = abs(float(inputs.generated.mean()) - float(inputs.reference.mean())){more}
        n, real = len(inputs.generated), len(inputs.reference)
        return (pb.Value("brightness", away, n, real, "lower", "brightness off"),)
'''
LINE = f"{RUN} --plugin mine.py --metrics brightness"
CHANGED = "mine.py has changed since"


def plugin(more: str = "", field: str = "") -> None:
    Path("mine.py").write_text(PLUGIN.format(more=more, field=field))


def test_a_changed_plug_in_is_told_and_a_field_of_its_own_makes_it_another_one(cli: Cli, store: Path) -> None:
    plugin()
    said = cli(LINE)
    assert said.code == 0, said.err
    assert CHANGED not in said.out
    noted = [json.loads(path.read_text()).get("code", {}) for path in store.glob("stages/*/*/stage.json")]
    assert [code for code in noted if code] == 3 * [{"mine.py": code_digest(Path("mine.py").read_bytes())}], (
        "the metric of both rows, and its baseline"
    )
    plugin(more="  # in levels of 255")
    said = cli(LINE)
    assert " 0 to do" in said.out
    assert CHANGED not in said.out
    plugin(more=" + 1000")
    said = cli(LINE)
    assert " 0 to do" in said.out
    assert f"{CHANGED} metric brightness, PatchD" in said.out.replace("\n", " ")
    assert "and 2 other stages were made with it" in said.out.replace("\n", " ")
    plugin(more=" + 1000", field="\n    revision: int = 1\n")
    said = cli(f"{LINE} --json")
    assert said.code == 0, said.err
    assert CHANGED not in said.out + said.err
    rows = [row for row in json.loads(said.out)["rows"] if row["metric"] == "brightness" and row["kind"] == "measured"]
    assert len(rows) == 2
    assert all(row["value"] >= 1000 for row in rows)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ('"""Another text."""\nX = 1\n\n\ndef f(x):\n    return x + 1\n', True),
        ("X = 1  # a remark\ndef f(x):\n\n    'text'\n    return (x + 1)\n", True),
        ("X = 2\ndef f(x):\n    return x + 1\n", False),
        ("X = 1\ndef f(x):\n    return x - 1\n", False),
    ],
)
def test_comments_docstrings_and_layout_are_no_code(other: str, same: bool) -> None:
    known = b'"""Text."""\nX = 1\ndef f(x):\n    """What it does."""\n    return x + 1\n'
    assert (code_digest(known) == code_digest(other.encode())) is same
