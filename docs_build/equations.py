"""Equations of the pages as MathML, which browsers draw themselves."""

import html
import re

from latex2mathml.converter import convert

EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def with_mathml(page: str) -> str:
    """A page's HTML with MathML in place of LaTeX."""

    def drawn(found: "re.Match[str]") -> str:
        display = "block" if found[2] == "[" else "inline"
        return str(convert(html.unescape(found[3]), display=display))

    return EQUATION.sub(drawn, page)
