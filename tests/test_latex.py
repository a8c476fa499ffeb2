"""LaTeX: escaping, structure of the document without a TeX, and compiling it where there is one."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from handmade import build

from prism_bench.analysis.formats.latex import BEGIN_BODY, END_BODY, document_tex, table_body, table_tex
from prism_bench.analysis.formats.latex_escape import _ACCENTS, _SYMBOLS, escape
from prism_bench.analysis.schema.records import load_plan, load_records
from prism_bench.analysis.table.table_model import Table

GOLDEN = Path(__file__).parent / "golden" / "analysis"


@pytest.fixture(scope="module")
def table() -> Table:
    plan = load_plan(GOLDEN / "plan.json")
    return build(plan, load_records(GOLDEN, plan).values())


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("100% of R&D_1 #2", r"100\% of R\&D\_1 \#2"),
        ("{a}\\b", r"\{a\}\textbackslash{}b"),
        ("a<b>c|d", "a$<$b$>$c$|$d"),
        ("é ü ñ å č Ç í", r"\'{e} \"{u} \~{n} \r{a} \v{c} \c{C} \'{i}"),
        ("e\u0301", r"\'{e}"),
        ("± \N{MULTIPLICATION SIGN} ≥ \N{EN DASH} µ", r"$\pm$ $\times$ $\geq$ \textendash{} $\mu$"),
        ("well-known, it's", "well-known, it's"),
        ("a--b ''c'' ,,", "a-{}-b '{}'c'{}' ,{},"),
        ("[x] *y*", "{[}x] {*}y{*}"),
        ("two\n\nparagraphs\tone", "two paragraphs one"),
        ("中\x1b", r"\texttt{U+4E2D}\texttt{U+001B}"),
    ],
)
def test_escape(text: str, latex: str) -> None:
    assert escape(text) == latex


def test_escape_is_ascii_and_balanced_for_every_sign() -> None:
    for code in range(0x3000):
        escaped = escape(chr(code))
        assert escaped.isascii()
        assert _depth(escaped) == 0


def test_the_main_table_of_the_expected_document(table: Table) -> None:
    expected = (GOLDEN / "special-chars.tex").read_text(encoding="utf-8")
    assert expected.startswith(table_tex(table).partition(r"\end{document}")[0].rstrip())


def test_braces_and_environments_are_balanced(table: Table) -> None:
    document = table_tex(table)
    code = re.sub(r"(?m)(?<!\\)%.*$", "", document)
    assert document.isascii()
    assert _depth(code) == 0
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", code):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []


def test_every_line_has_the_columns_of_the_preamble(table: Table) -> None:
    body = table_body(table)
    preamble = re.search(r"\\begin\{tabular\}\{(.*)\}\n", body)
    assert preamble is not None
    letters = re.sub(r"@\{(\\hspace\{[^}]*\})?\}", "", preamble.group(1))
    widths = [_width(line) for line in body.splitlines() if line.endswith(r" \\")]
    assert re.fullmatch(r"[lr]+", letters)
    assert len(widths) == 2 + len(table.rows)
    assert set(widths) == {len(letters)} == {1 + len(table.columns)}


def test_no_line_begins_like_an_argument_of_the_line_before(table: Table) -> None:
    lines = table_body(table).splitlines()
    after_a_break = [line for before, line in pairwise(lines) if before.endswith((r"\\", "rule"))]
    assert any(line.startswith("{[}RAG]") for line in after_a_break)
    assert not any(line.startswith(("[", "*")) for line in after_a_break)


def test_the_body_stands_between_the_comments(table: Table) -> None:
    document = table_tex(table)
    assert document.count(BEGIN_BODY) == document.count(END_BODY) == 1
    inner = document.split(BEGIN_BODY)[1].split(END_BODY)[0].strip()
    assert inner.startswith(r"\begin{table}")
    assert inner.endswith(r"\end{table}")


def test_it_compiles(table: Table, tmp_path: Path) -> None:
    """Two tables and every sign we know, with nothing but Computer Modern."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    accented = "".join("e" + accent for accent in _ACCENTS)
    signs = escape(" ".join(_SYMBOLS) + " " + accented + " --- ''' ,,, 中 \U0001f600")
    document = document_tex([table, table]).replace(r"\end{document}", signs + "\n\\end{document}")
    (tmp_path / "two.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "two.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "two.pdf").stat().st_size > 10_000
    assert "Missing character" not in (tmp_path / "two.log").read_text(encoding="latin-1")
    assert "tcrm" not in done.stdout  # the companion font is often there as a bitmap only, or not at all


def _depth(latex: str) -> int:
    """Open braces at the end; fails where one closes that was not opened."""
    depth = 0
    for sign in _unescaped(latex):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    return depth


def _unescaped(latex: str) -> Iterator[str]:
    signs = iter(latex)
    for sign in signs:
        if sign == "\\":
            next(signs, "")
        else:
            yield sign


def _width(line: str) -> int:
    """Columns of one line of the tabular; an inner tabular has no & of its own."""
    cells = 1 + sum(sign == "&" for sign in _unescaped(line))
    return cells + sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
