"""Text and elements of the page; everything that is not made here is escaped."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

Attribute = str | int | None


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Plain text, escaped."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def tag(name: str, *children: object, **attributes: Attribute) -> Markup:
    """An element; attributes of value None are left out, `class_` is class, `data_x` is data-x."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(text(child) for child in children)
    return Markup(f"<{name}{given}>{inner}</{name}>")


def join(parts: Iterable[Markup], between: str = "\n") -> Markup:
    """Elements one after the other."""
    return Markup(between.join(parts))


def picture(path: Path, alt: str) -> Markup:
    """A PNG inside the page."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return Markup(f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" loading="lazy">')


def figure(path: Path, caption: str) -> Markup:
    """A PNG with its caption."""
    return tag("figure", picture(path, caption), tag("figcaption", caption))


def simple_table(head: Sequence[object], rows: Iterable[Sequence[object]], numeric_from: int = 1) -> Markup:
    """A table with row headings in the first column; columns from `numeric_from` on are set to the right."""

    def kind(index: int) -> str | None:
        return "n" if index >= numeric_from else None

    heading = tag("tr", *(tag("th", cell, scope="col", class_=kind(index)) for index, cell in enumerate(head)))
    body = [
        tag(
            "tr",
            *(
                tag("td", cell, class_=kind(index)) if index else tag("th", cell, scope="row")
                for index, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    return scroll(tag("table", tag("thead", heading), tag("tbody", join(body))))


def scroll(inner: Markup) -> Markup:
    """A box that scrolls sideways by itself, so that the page never does; the keyboard can reach it."""
    return tag("div", inner, class_="scroll", tabindex=0)
