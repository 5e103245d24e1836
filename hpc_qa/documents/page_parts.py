"""Which headers and footers of a page are text of it.

A header stays where it belongs to an article, a section or the main part, or holds a heading or paragraph; a footer
where it belongs to one of these or holds notes. The others go, as do search forms and banners that ask about cookies;
menus in a header are left out as everywhere. An element that is never closed is not looked at.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from hpc_qa.documents.splices import Edit, spliced

_TAG = re.compile(
    r"<(/?)(header|footer|article|section|main|div|form|search|aside|dialog)(\s[^<>]{0,2000})?>", re.IGNORECASE
)
_AROUND_TEXT = frozenset(("article", "section", "main"))
_TEXT = re.compile(r"<(?:h[1-6]|p)[\s>]", re.IGNORECASE)
_NOTES = re.compile(r"foot-?note|end-?note|\bid\s*=\s*[\"']?fn", re.IGNORECASE)
_SEARCH = re.compile(r"\brole\s*=\s*[\"']?search\b", re.IGNORECASE)
_COOKIES = re.compile(
    r"(?:id|class)\s*=\s*(?:\"[^\"]*|'[^']*|)cookie[-_]?(?:banner|consent|notice|bar|popup|law|message)(?![-\w])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Element:
    name: str
    attributes: str
    opening: tuple[int, int]
    closing: tuple[int, int]
    in_text: bool  # inside of an article, a section or the main part


def without_page_furniture(html: str) -> str:
    """The source without such elements; headers and footers that stay are `<div>`.

    >>> without_page_furniture("<header>Logo</header><article><footer>1. Since May.</footer></article>")
    '<article><div>1. Since May.</div></article>'
    """
    edits: list[Edit] = []
    for element in _elements(html):
        if _goes(element, html):
            edits.append((element.opening[0], element.closing[1], ""))
        elif element.name in ("header", "footer"):
            edits += [(*element.opening, f"<div{element.attributes}>"), (*element.closing, "</div>")]
    return spliced(html, sorted(edits))


def _elements(html: str) -> Iterator[_Element]:
    """The elements in the order of their ends, without those still open where one around them ends."""
    opened: list[re.Match[str]] = []
    names: Counter[str] = Counter()
    for match in _TAG.finditer(html):
        name = match.group(2).lower()
        if not match.group(1):
            opened.append(match)
            names[name] += 1
        elif names[name]:
            while (first := opened.pop()).group(2).lower() != name:
                names[first.group(2).lower()] -= 1
            names[name] -= 1
            in_text = any(names[around] for around in _AROUND_TEXT)
            yield _Element(name, first.group(3) or "", first.span(), match.span(), in_text)


def _goes(element: _Element, html: str) -> bool:
    start, end = element.opening[1], element.closing[0]
    if element.name == "header":
        return not (element.in_text or _TEXT.search(html, start, end))
    if element.name == "footer":
        return not (element.in_text or _NOTES.search(html, element.opening[0], end))
    if element.name in ("form", "search"):
        return element.name == "search" or _SEARCH.search(element.attributes) is not None
    return element.name in ("div", "section", "aside", "dialog") and _COOKIES.search(element.attributes) is not None
