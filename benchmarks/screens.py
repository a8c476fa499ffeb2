"""Makes the pictures of docs/ that show what a user sees, of the results in docs/results/bundle.zip.

    python benchmarks/screens.py            # all of them; or `page terminal article mlflow`, or some

Needs Chromium, and for the article pdflatex and pdftoppm. Numbers in the pictures are those of the bundle.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from prism_bench.analysis.report.write_report import Source, results_of
from prism_bench.experiments.reports.places import placed_tables
from prism_bench.experiments.reports.reporting import show_table
from prism_bench.experiments.screen import Screen

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BUNDLE = DOCS / "results" / "bundle.zip"
EXPERIMENT = "ablation-table3"
COLUMNS = 100
PROGRAM = (sys.executable, "-P", "-m", "prism_bench")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
ARTICLE = r"""\documentclass[twocolumn,10pt]{article}
\usepackage[a4paper,margin=18mm]{geometry}
\usepackage{booktabs}
\begin{document}
% A table as wide as the page stands on the page after the one that asks for it.
\input{TABLE}
\mbox{}\newpage\mbox{}\newpage
\section{Experiments}
The table is the one that \texttt{prism-bench report} wrote, by \verb|\input|; nothing in it was typed. Four variants
share their data, their split, their batches and their sampling noise, and differ in what their rows name. Every cell
is a mean over seeds with the half-width of its 95\% interval. The best row is bold where its difference to every other
row, paired by seed, can be told from zero.

The caption says on what the numbers were measured, and how many images they rest on; the appendix has the other
columns. What a claim is judged by was fixed before the run.
\end{document}
"""


@contextmanager
def browser(width: int, height: int) -> Iterator[Any]:
    """A page of Chromium, two device pixels for one of the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, which containers run as, Chromium has no sandbox.
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened.new_page(viewport={"width": width, "height": height})
        opened.close()


def told(*words: str, **environment: str) -> str:
    """What a command prints; its own message where it fails."""
    done = subprocess.run(
        [*PROGRAM, *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=tempfile.gettempdir(),
    )
    if done.returncode:
        sys.exit(f"prism-bench {' '.join(words)}: {done.stderr or done.stdout}")
    return done.stdout


def page(store: Path, work: Path) -> Path:
    """The first screen of the report."""
    told("report", EXPERIMENT, "--store", str(store), "--format", "html", "--out", str(work / "page"))
    with browser(1280, 800) as shown:
        shown.goto((work / "page" / "index.html").as_uri())
        shown.screenshot(path=DOCS / "report-page.png")
    return DOCS / "report-page.png"


def terminal(store: Path, _: Path) -> Path:
    """What a run ends with, in a terminal of 100 columns."""
    ((table, folder),) = placed_tables(EXPERIMENT, store, [], lambda _: None)
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, highlight=False)
    console.print(Text("$ ", style="green") + Text(f"prism-bench run {EXPERIMENT} --seeds 0-2", style="bold"))
    console.print("...", style="dim")
    show_table(results_of(Source(plan=table, folder=folder), store), Screen(console, console, verbose=False))
    style = "margin: 0; padding: 14px 18px; background: #fbfbfa; font: 13px/1.3 'DejaVu Sans Mono', monospace"
    made = console.export_html(inline_styles=True, code_format=f'<pre style="{style}"><code>{{code}}</code></pre>')
    with browser(840, 500) as shown:
        shown.set_content(f"<body style='margin: 0; display: inline-block'>{made}</body>")
        shown.locator("pre").screenshot(path=DOCS / "terminal.png")
    return DOCS / "terminal.png"


def article(store: Path, work: Path) -> Path:
    """The table in an article of two columns."""
    told("report", EXPERIMENT, "--store", str(store), "--format", "latex", "--out", str(work / "latex"))
    table = next((work / "latex").rglob(f"{EXPERIMENT}.tex"))
    (work / "article.tex").write_text(ARTICLE.replace("TABLE", table.as_posix()))
    subprocess.run(["pdflatex", "-interaction=batchmode", "article.tex"], cwd=work, check=True, capture_output=True)
    pdf = ["pdftoppm", "-png", "-r", "110", "-singlefile", "-f", "2", "-H", "900", "article.pdf", str(DOCS / "article")]
    subprocess.run(pdf, cwd=work, check=True)
    return DOCS / "article.png"


def mlflow(store: Path, work: Path) -> Path:
    """The comparison of the table's runs in MLflow."""
    command = [*PROGRAM, "ui", EXPERIMENT, "--store", str(store), "--port", "5077", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=work) as process:
        assert process.stdout is not None
        links = (found[1] for line in process.stdout if (found := re.match(r"  (http\S+)$", line)))
        comparison = next(links)
        with browser(1500, 1000) as shown:
            shown.goto(comparison)
            shown.wait_for_selector("text=with/dataset.component", timeout=90_000)
            shown.screenshot(path=DOCS / "mlflow-comparison.png")
        process.terminate()
    return DOCS / "mlflow-comparison.png"


SCREENS: dict[str, Callable[[Path, Path], Path]] = {
    screen.__name__: screen for screen in (page, terminal, article, mlflow)
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of docs/ that show what a user sees.")
    parser.add_argument("names", nargs="*", choices=[*SCREENS, []], metavar="|".join(SCREENS))
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(options.bundle) as archive:
        store, work = Path(folder) / "prism-bench-store", Path(folder) / "work"
        archive.extractall(store)
        work.mkdir()
        for name in options.names or SCREENS:
            print(SCREENS[name](store, work))


if __name__ == "__main__":
    main()
