"""Tables that a benchmark keeps up in a page of the documentation, between two marks."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
END = "<!-- end -->"


def put(page: str, program: str, text: str) -> None:
    """Put what `benchmarks/<program>` has measured into docs/<page>, in place of what stands between its marks."""
    path, begin = DOCS / page, f"<!-- made by benchmarks/{program}: begin -->"
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(END)}", re.DOTALL)
    made, count = between.subn(lambda _: f"{begin}\n{text}\n{END}", path.read_text(encoding="utf-8"))
    if count != 1:
        raise SystemExit(f"{path} has no place for it: add the lines {begin} and {END}")
    path.write_text(made, encoding="utf-8")
