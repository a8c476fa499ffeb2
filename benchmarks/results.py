"""Makes docs/results: runs what runs.toml lists, packs the records as bundle.zip, and writes the pages from that alone.

    python benchmarks/results.py --data emoji=noto-emoji-64.zip [--store FOLDER]   # hours; the same command resumes
    python benchmarks/results.py --only toyfaces                                   # one page; the others stay
    python benchmarks/results.py --only toyfaces/2                                 # the second command of a page alone
    python benchmarks/results.py --pages                                           # the pages from the bundle there

`nox -s results -- ...` is the same in an environment of its own. A page whose commands are run one by one may be made
on several days, with new stores: what the bundle has of the page is taken into the store, and plans that may share a
table do so, as in `prism-bench report`.

The text of a page's author stands beside it, in PAGE.commentary.md, and names the bundle that it speaks of as
bundle `DIGEST`, at least the first twelve letters of the SHA-256 of bundle.zip.
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from prism_bench.analysis import formatting
from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.formats.markdown import table_markdown
from prism_bench.analysis.formats.markdown_escape import escape, markdown_table
from prism_bench.analysis.report.write_report import Source, pictures_in, results_of
from prism_bench.analysis.schema.join_plans import join_plans
from prism_bench.analysis.schema.records import load_plan, load_records
from prism_bench.analysis.schema.stored_plans import load_plans
from prism_bench.analysis.table.results import Results
from prism_bench.analysis.table.table_model import Measured
from prism_bench.experiments.reports.places import place_name, report_folder
from prism_bench.experiments.store.inventory import Inventory, StoredPlan
from prism_bench.experiments.tools.bundling.archive import write_bundle
from prism_bench.experiments.tools.bundling.contents import Choice, gather
from prism_bench.prism.errors import InputError, closest

RESULTS = Path(__file__).parents[1] / "docs" / "results"
BUNDLE, RUNS, PAGES = "bundle.zip", "runs.toml", "pages.json"
COMMENTARY = ".commentary.md"
CLAIMS = "claims.md"
LARGEST = 3_000_000
"""Bytes of the bundle and the pages together."""
NAMED = re.compile(r"bundle `([0-9a-f]{12,64})`")
"""How a commentary names the bundle that it speaks of."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page: its title, which pictures of the reports go along, and commands as (experiments, options)."""

    name: str
    title: str
    pictures: tuple[str, ...]
    runs: tuple[tuple[tuple[str, ...], str], ...]
    goes_on: bool = False
    """Whether what the bundle has of the page stays."""

    def going_on(self, numbers: Sequence[str]) -> "Page":
        """The page that goes on with some of its commands, counted from 1; InputError where there is no such."""
        for number in numbers:
            if not (number.isdecimal() and 0 < int(number) <= len(self.runs)):
                raise InputError(f"--only {self.name}/{number}: the page has {len(self.runs)} commands, 1 the first")
        return replace(self, runs=tuple(self.runs[int(number) - 1] for number in numbers), goes_on=True)

    def commands(self, data: Mapping[str, str]) -> list[list[str]]:
        """What is typed, as words; InputError where images are asked for that nobody gave."""
        try:
            return [
                ["run", *names, *(word.format(**data) for word in shlex.split(options))] for names, options in self.runs
            ]
        except KeyError as error:
            raise InputError(f"page {self.name} needs --data {error.args[0]}=PATH") from None


def read_pages(path: Path) -> list[Page]:
    """The pages of runs.toml, in its order."""
    return [
        Page(
            name=name,
            title=page["title"],
            pictures=tuple(page["pictures"]),
            runs=tuple((tuple(run["experiments"]), run["options"]) for run in page["runs"]),
        )
        for name, page in tomllib.loads(path.read_text(encoding="utf-8")).items()
    ]


def run(pages: Sequence[Page], store: Path, data: Mapping[str, str]) -> dict[str, list[str]]:
    """Compute what is missing; the digests of the plans of each page.

    Raises:
        InputError: a command failed; the same one goes on from what there is.
    """
    commands = {page.name: page.commands(data) for page in pages}
    made: dict[str, list[str]] = {}
    for page in pages:
        for words, (names, _) in zip(commands[page.name], page.runs, strict=True):
            whole = [*words, "--store", str(store.absolute()), "--no-mlflow"]
            print(f"{page.name}: prism-bench {shlex.join(whole)}", flush=True)
            code = subprocess.run([sys.executable, "-P", "-m", "prism_bench", *whole], check=False).returncode
            if code:
                raise InputError(f"page {page.name}: prism-bench {shlex.join(whole)} ended with code {code}")
            latest = [plan.plan for name in names for plan in load_plans(name, store)]
            made.setdefault(page.name, []).extend(latest)
    return made


def take_in(pages: Sequence[Page], bundle: Path, store: Path) -> dict[str, list[str]]:
    """Bring what a bundle has of the pages that go on into the store: their plans, and the records of these.

    Returns:
        The digests of these plans, by page.
    """
    names = {page.name for page in pages if page.goes_on}
    if not names or not bundle.exists():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        before = _kept(bundle, Path(folder), without=())
        known = {name: page for name, page in before["pages"].items() if name in names}
        for place, content in _members(known, Path(folder)).items():
            path = store / place
            if place.endswith(".json") and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    return {name: list(page["plans"]) for name, page in known.items()}


def pack(pages: Sequence[Page], made: Mapping[str, Sequence[str]], store: Path, out: Path) -> None:
    """Write the bundle: plans, records and pictures, and which plan belongs to which page.

    Pages of a bundle that is there, and that were not made now, stay.

    Raises:
        InputError: a cell has no finished record, or records are of several versions of prism-bench.
    """
    wanted = {digest for digests in made.values() for digest in digests}
    inventory = Inventory.read(store)
    plans = [plan for plan in inventory.plans if plan.document.plan in wanted]
    pictures = [name for page in pages for name in _pictures(page, plans, made[page.name], store)]
    contents = gather(inventory, plans, Choice(stages=False, reports=tuple(dict.fromkeys(pictures))))
    if contents.missing:
        raise InputError(f"{len(contents.missing)} things are missing, the first: {contents.missing[0]}; run them")
    # Claims may speak of rows that were not computed.
    names = {record for plan in plans for record in plan.records} & inventory.records.keys()
    versions = {inventory.records[name].environment.get("prism-bench", "unknown") for name in names}
    index = {page.name: {"title": page.title, "plans": list(made[page.name])} for page in pages}
    if out.exists():
        with tempfile.TemporaryDirectory() as folder:
            before = _kept(out, Path(folder), without=made)
            versions |= {before["version"]} if before["pages"] else set()
            index = dict(sorted((before["pages"] | index).items()))
            contents.held = _members(before["pages"], Path(folder)) | contents.held
    if len(versions) > 1:
        raise InputError(f"records of several versions, {formatting.listing(sorted(versions))}; use one store for one")
    contents.held[PAGES] = (json.dumps({"version": versions.pop(), "pages": index}, indent=1) + "\n").encode()
    write_bundle(contents, out)


def _kept(bundle: Path, folder: Path, *, without: Container[str]) -> dict[str, Any]:
    """The index of a bundle, unpacked into a folder, but for some of its pages."""
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    index: dict[str, Any] = json.loads((folder / PAGES).read_text(encoding="utf-8"))
    return {**index, "pages": {name: page for name, page in index["pages"].items() if name not in without}}


def _members(pages: Mapping[str, Any], folder: Path) -> dict[str, bytes]:
    """The plans, records and pictures of some pages of an unpacked bundle, by their names in it."""
    digests = {digest for page in pages.values() for digest in page["plans"]}
    paths = [path for digest in digests for path in folder.glob(f"experiments/*/{digest}.json")]
    plans = [load_plan(path) for path in paths]
    paths += [folder / "records" / f"{name}.json" for plan in plans for name in plan.records]
    paths += [path for plan in plans for path in report_folder(plan, folder).glob("*")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.is_file()}


def _pictures(page: Page, plans: Sequence[StoredPlan], made: Sequence[str], store: Path) -> Iterator[str]:
    """The pictures of a page's plans that go along, below the store; not every plan has every picture."""
    own = [plan.document for plan in plans if plan.document.plan in made]
    for name in page.pictures:
        experiment, _, picture = name.rpartition("/")
        folders = [report_folder(plan, Path()) for plan in own if experiment in {"", plan.experiment}]
        there = [folder / picture for folder in folders if (store / folder / picture).is_file()]
        if not there:
            raise InputError(f"page {page.name}: none of its reports has a picture {name}")
        yield from (path.as_posix() for path in there)


def digest_of(bundle: Path) -> str:
    """SHA-256 of the bundle."""
    return hashlib.sha256(bundle.read_bytes()).hexdigest()


def made_from(bundle: Path) -> dict[str, bytes]:
    """The files of every page, by their names below docs/results, from the bundle alone."""
    digest = digest_of(bundle)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
        store = Path(folder)
        index = json.loads((store / PAGES).read_text(encoding="utf-8"))
        origin = f"prism-bench {index['version']}, bundle `{digest}`"
        parts = {name: _parts(page, store) for name, page in index["pages"].items()}
        titles = {name: str(page["title"]) for name, page in index["pages"].items()}
        files = {CLAIMS: _claims(parts, titles, origin).encode()}
        for name, own in parts.items():
            files |= _page(name, titles[name], own, origin, store)
    return files


def _parts(page: Mapping[str, Any], store: Path) -> list[Results]:
    """The tables of a page."""
    plans = [load_plan(path) for digest in page["plans"] for path in store.glob(f"experiments/*/{digest}.json")]
    tables = [
        table
        for experiment in dict.fromkeys(plan.experiment for plan in plans)
        for table in join_plans(
            [plan for plan in plans if plan.experiment == experiment], page["plans"], partial(load_records, store)
        )
    ]
    return [results_of(Source(plan=table, folder=report_folder(table, store)), store) for table in tables]


def _claims(parts: Mapping[str, Sequence[Results]], titles: Mapping[str, str], origin: str) -> str:
    """Every claim of the paper, beside what each page says of it."""
    lines: dict[str, list[list[str]]] = {}
    for name, own in parts.items():
        for part in own:
            where = f"[{escape(titles[name])}]({name}.md)"
            settings = escape(formatting.listing(part.plan.settings))
            for result in part.claims if part.plan.kind == "table" else ():
                cells = lines.setdefault(f"{result.claim.text} ({result.claim.source})", [])
                page = "; ".join(filter(None, (where, settings)))
                for one in result.judged:
                    cells.append([page, str(len(part.plan.seeds)), escape(one.title), f"**{one.verdict}**"])
                    page = ""
    heads = ["Page", "Seeds", "Judged by", "Verdict"]
    texts = [
        "# Every claim, on every page",
        f"Made by `python benchmarks/results.py` ({origin}); not to be edited. Where a claim has two outcomes they "
        "share the 5%, so that each of its verdicts stands for itself. The evidence stands on the pages.",
        *(f"## {escape(claim)}\n\n{markdown_table('lrll', heads, *cells)}" for claim, cells in lines.items()),
    ]
    return "\n\n".join(texts) + "\n"


def _page(name: str, title: str, parts: Sequence[Results], origin: str, store: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    texts = [
        f"# {title}",
        f"Made by `python benchmarks/results.py` ({origin}); not to be edited. What is said of it stands "
        f"in {name}{COMMENTARY}, where there is something to say.",
    ]
    texts += _side_by_side(parts)
    for part in parts:
        pictures = []
        for picture, caption in pictures_in(part.pictures, part.plan):
            place = f"{name}/{place_name(part.plan)}-{part.plan.plan[:8]}-{picture}"
            files[place] = (report_folder(part.plan, store) / picture).read_bytes()
            pictures.append((place, caption))
        settings = f"\n\nSettings: {escape(formatting.listing(part.plan.settings))}." if part.plan.settings else ""
        text = table_markdown(part, pictures)
        # One level below the page's title.
        texts.append(re.sub("^#", "##", text, flags=re.MULTILINE).replace("\n", settings + "\n", 1).strip())
    files[f"{name}.md"] = ("\n\n".join(texts) + "\n").encode()
    return files


def _side_by_side(parts: Sequence[Results]) -> list[str]:
    """Where a page has several plans of one experiment: each metric's means, plans across."""
    if len(parts) < 2 or len({part.plan.experiment for part in parts}) > 1:
        return []
    heads = [escape(formatting.listing(part.plan.settings) or "as the scale has it") for part in parts]
    labels = {row.id: row.label.partition(" [")[0] for part in parts for row in part.table.rows}
    columns = {column.key: column for part in parts for column in part.table.columns if column.kind == "measured"}
    texts = ["## Side by side"]
    for key, column in columns.items():
        values = [{row.id: _number(part, row.id, key) for row in part.table.rows} for part in parts]
        lines = [[escape(label), *(own.get(row, "") for own in values)] for row, label in labels.items()]
        heading = [escape(f"{column.label} {column.arrow}"), *heads]
        texts.append(markdown_table("l" + "r" * len(parts), heading, *lines))
    return texts


def _number(part: Results, row_id: str, key: str) -> str:
    """A cell of a table, as mean ± half-width and the number of seeds; empty where there is none."""
    keys = [column.key for column in part.table.columns]
    cells = {row.id: row.cells for row in part.table.rows}.get(row_id)
    if cells is None or key not in keys:
        return ""
    cell, column = cells[keys.index(key)], part.table.columns[keys.index(key)]
    if not isinstance(cell, Measured):
        return ""
    mean = formatting.fixed(cell.mean, column.decimals)
    return mean if cell.half_width is None else f"{mean} ± {formatting.fixed(cell.half_width, column.decimals)}"


def write_pages(folder: Path) -> list[Path]:
    """Write the pages of the bundle in a folder, and remove those of an earlier one; the paths of the new ones."""
    files = made_from(folder / BUNDLE)
    for path in generated(folder):
        path.unlink()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def generated(folder: Path) -> list[Path]:
    """The files in docs/results that are made: all but the bundle, the list of runs and the commentaries."""
    own = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in own if path.name not in {BUNDLE, RUNS} and not path.name.endswith(COMMENTARY)]


def faults(folder: Path) -> list[str]:
    """What is wrong in docs/results: files that the bundle does not give, commentaries of another, too many bytes."""
    commentaries = sorted(folder.glob(f"*{COMMENTARY}"))
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in generated(folder)}
    if not (folder / BUNDLE).is_file():
        return [f"{path.name}: there is no {BUNDLE} that it could be made of or speak of" for path in commentaries] + [
            f"{name}: there is no {BUNDLE} that it could be made of" for name in there
        ]
    made, digest = made_from(folder / BUNDLE), digest_of(folder / BUNDLE)
    found = [f"{name}: is not what the bundle gives" for name in made if there.get(name) != made[name]]
    found += [f"{name}: is no file that the bundle gives" for name in there if name not in made]
    for path in commentaries:
        named = NAMED.findall(path.read_text(encoding="utf-8"))
        if path.name.removesuffix(COMMENTARY) + ".md" not in made:
            found.append(f"{path.name}: there is no such page")
        if not named:
            found.append(f"{path.name}: does not say which bundle it speaks of; write bundle `{digest[:12]}`")
        found += [
            f"{path.name}: speaks of bundle {name}, not of {digest}" for name in named if not digest.startswith(name)
        ]
    size = sum(len(content) for content in there.values()) + (folder / BUNDLE).stat().st_size
    return found + ([f"{size:,} bytes, more than {LARGEST:,}: take fewer pictures along"] if size > LARGEST else [])


def _chosen(pages: Sequence[Page], only: Sequence[str]) -> Iterator[Page]:
    """The pages that are asked for; all where none is."""
    asked = [name.partition("/")[::2] for name in only]
    for name, _ in asked:
        if name not in {page.name for page in pages}:
            raise InputError(f"--only {name}: {closest(name, [page.name for page in pages])}")
    for page in pages:
        numbers = [number for name, number in asked if name == page.name]
        if not only or "" in numbers:
            yield page
        elif numbers:
            yield page.going_on(numbers)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make docs/results anew: runs, bundle, pages.")
    parser.add_argument("--store", type=Path, default=Path("results-store"), help="where the runs are kept")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="images of your own")
    parser.add_argument("--pages", action="store_true", help="only write the pages again from the bundle there")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PAGE[/NUMBER]", help="these pages; the others stay"
    )
    options = parser.parse_args()
    pages = read_pages(RESULTS / RUNS)
    try:
        data = {"emoji": os.environ["PRISM_BENCH_EMOJI"]} if "PRISM_BENCH_EMOJI" in os.environ else {}
        data |= dict(item.split("=", 1) for item in options.data)
        data = {name: str(Path(path).absolute()) for name, path in data.items()}
        pages = list(_chosen(pages, options.only))
        if not options.pages:
            made = take_in(pages, RESULTS / BUNDLE, options.store)
            for name, digests in run(pages, options.store, data).items():
                made[name] = list(dict.fromkeys([*made.get(name, ()), *digests]))
            pack(pages, made, options.store, RESULTS / BUNDLE)
        for path in write_pages(RESULTS):
            print(path)
        found = faults(RESULTS)
    except (InputError, AnalysisError) as error:
        print(error, file=sys.stderr)
        return 2
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
