"""LaTeX: escaping, structure of the document without a TeX, and compiling it where there is one."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from handmade import results

from prism_bench.analysis.formats.latex import (
    BEGIN_BODY,
    END_BODY,
    appendix_tex,
    document_tex,
    input_tex,
    table_body,
    table_tex,
)
from prism_bench.analysis.formats.latex_escape import _ACCENTS, _SYMBOLS, escape
from prism_bench.analysis.schema.records import load_plan, load_records
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.table_model import Table

GOLDEN = Path(__file__).parent / "golden" / "analysis"


@pytest.fixture(scope="module")
def golden() -> Results:
    plan = load_plan(GOLDEN / "plan.json")
    return results(plan, load_records(GOLDEN, plan).values())


@pytest.fixture(scope="module")
def table(golden: Results) -> Table:
    """With all its columns: in parts."""
    return golden.table


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


def test_the_files_are_the_expected_ones(golden: Results) -> None:
    assert input_tex([golden.first]) == (GOLDEN / "special-chars.tex").read_text(encoding="utf-8")
    appendix = appendix_tex(golden.first, golden.appendix)
    assert appendix == (GOLDEN / "special-chars-appendix.tex").read_text(encoding="utf-8")


def test_braces_and_environments_are_balanced(table: Table) -> None:
    document = table_tex(table)
    code = re.sub(r"(?m)(?<!\\)%.*$", "", document)
    assert document.isascii()
    assert _depth(code) == 0
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", code):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []


def test_every_line_has_the_columns_of_the_preamble(table: Table, golden: Results) -> None:
    for one, parts in ((golden.first, 1), (table, 3)):
        tabulars = re.findall(r"\\begin\{tabular\}\{(@\{\}l.*)\}\n((?:.*\n)*?)\\end\{tabular\}", table_body(one))
        assert len(tabulars) == parts
        columns = 0
        for preamble, body in tabulars:
            letters = re.sub(r"@\{(\\hspace\{[^}]*\})?\}", "", preamble)
            assert re.fullmatch(r"[lr]+", letters)
            assert {_width(line) for line in body.splitlines() if line.endswith(r" \\")} == {len(letters)}
            columns += len(letters) - 1
        assert columns == len(one.columns)


def test_spreads_are_indices_or_stand_below_where_there_is_no_room(golden: Results, table: Table) -> None:
    wide, narrow = table_body(table), table_body(golden.first)
    assert r"45.05$_{\pm1.91}$" in wide
    assert r"& 45.05 &" in narrow
    assert r"{\scriptsize $\pm$1.91}" in narrow
    assert (r"\begin{table*}" in wide, r"\begin{table}" in narrow) == (True, True)
    for spread, means in (("sd", r"$\pm$0.21"), ("none", r"& 45.05 &")):
        body = table_body(replace(golden, spread=spread).first)
        assert means in body
        assert "1.91" not in body


def test_no_line_begins_like_an_argument_of_the_line_before(table: Table) -> None:
    lines = table_body(table).splitlines()
    after_a_break = [line for before, line in pairwise(lines) if before.endswith((r"\\", "rule", "space"))]
    assert any(line.startswith("{[}RAG]") for line in after_a_break)
    assert not any(line.startswith(("[", "*")) for line in after_a_break)


def test_the_body_stands_between_the_comments(table: Table) -> None:
    document = table_tex(table)
    assert document.count(BEGIN_BODY) == document.count(END_BODY) == 1
    inner = document.split(BEGIN_BODY)[1].split(END_BODY)[0].strip()
    assert inner.startswith(r"\begin{table*}")
    assert inner.endswith(r"\end{table*}")


TWO_COLUMNS = r"""\documentclass[twocolumn]{article}
\usepackage[textwidth=6.75in]{geometry}
\setlength{\columnsep}{0.25in}
\usepackage{booktabs}
\begin{document}
\input{special-chars}
\input{special-chars-appendix}
\end{document}
"""
ONE_COLUMN = TWO_COLUMNS.replace("[twocolumn]", "").replace("\\usepackage[textwidth=6.75in]{geometry}\n", "")


@pytest.mark.parametrize("paper", [TWO_COLUMNS, ONE_COLUMN])
def test_it_is_input_into_a_paper_and_fits_its_columns(paper: str, tmp_path: Path) -> None:
    for name in ("special-chars.tex", "special-chars-appendix.tex"):
        shutil.copy(GOLDEN / name, tmp_path)
    assert "Overfull" not in compiled(paper, tmp_path)


def compiled(document: str, folder: Path) -> str:
    """What pdflatex says of a document; skips where it is not installed."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    (folder / "paper.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return (folder / "paper.log").read_text(encoding="latin-1")


def test_it_compiles(table: Table, tmp_path: Path) -> None:
    """Two tables and every sign we know, with nothing but Computer Modern."""
    accented = "".join("e" + accent for accent in _ACCENTS)
    signs = escape(" ".join(_SYMBOLS) + " " + accented + " --- ''' ,,, 中 \U0001f600")
    document = document_tex([table, table]).replace(r"\end{document}", signs + "\n\\end{document}")
    said = compiled(document, tmp_path)
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
    assert "Missing character" not in said
    assert "tcrm" not in said  # the companion font is often there as a bitmap only, or not at all


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
