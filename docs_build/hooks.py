"""What the site has besides docs/: pages from the root of the repository, pages that are made, pages whose code is run.

MkDocs calls the functions whose names begin with `on_`.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from commands import commands_page
from equations import with_mathml
from executed import Runner
from mkdocs.structure.files import File
from python_api import python_page
from schemas import schemas_page

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
}
"""Files of the repository outside docs/ that are pages, and where they stand in the site."""
NOTEBOOKS = ("first-steps", "own-variant", "reading-results")
COPIES = (*(f"examples/{name}.ipynb" for name in NOTEBOOKS), "LICENSE", "CITATION.cff", "requirements/paper.txt")
"""Those that pages link to and that are no pages."""
MADE = {
    "reference/commands.md": commands_page,
    "reference/python.md": python_page,
    "reference/schemas.md": schemas_page,
}
COMMENTARY = ".commentary.md"
"""What is said of a page of results stands in a file beside it, and on the site at its top."""
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)")
runner = Runner()


def on_files(files: Any, *, config: Any) -> Any:
    """Add what does not lie in docs/, and run the pages that are to be run."""
    for name, place in {**PAGES, **{name: f"files/{name}" for name in COPIES}}.items():
        files.append(File.generated(config, place, content=(ROOT / name).read_bytes()))
    for place, page in MADE.items():
        files.append(File.generated(config, place, content=page()))
    for file in list(files.documentation_pages()):
        if file.src_uri.endswith(COMMENTARY):
            files.remove(file)
            continue
        done = runner.run(file.src_uri, file.content_string)
        if done is None:
            continue
        files.remove(file)
        files.append(File.generated(config, file.src_uri, content=done.markdown))
        for name, content in done.pictures.items():
            place = posixpath.join(posixpath.dirname(file.src_uri), name)
            files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Have links that are right in the repository lead to the same things in the site."""
    place = page.file.src_uri
    at = {site: name for name, site in PAGES.items()}.get(place, f"docs/{place}")

    def there(found: "re.Match[str]") -> str:
        name = posixpath.normpath(posixpath.join(posixpath.dirname(at), found[1]))
        site = PAGES.get(name) or (f"files/{name}" if name in COPIES else name.removeprefix("docs/"))
        return posixpath.relpath(site, posixpath.dirname(place) or ".")

    return LINK.sub(there, _with_commentary(markdown, ROOT / at))


def _with_commentary(markdown: str, page: Path) -> str:
    commentary = page.with_suffix(COMMENTARY)
    if not commentary.is_file():
        return markdown
    title, _, rest = markdown.partition("\n\n")
    return f"{title}\n\n{commentary.read_text(encoding='utf-8')}\n\n{rest}"


def on_page_content(html: str, *, page: Any, config: Any, files: Any) -> str:
    """Equations as MathML, which browsers show without a program."""
    return with_mathml(html)
