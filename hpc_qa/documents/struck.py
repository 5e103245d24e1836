"""Text that a page shows as no longer valid: taken out, as it is no fact any more.

`<del>`, `<s>` and `<strike>` go with what is in them; `<ins>` is text like any other. An element that is never closed
strikes nothing for sure, so its text stays.
"""

import re
from collections.abc import Iterator

_STRUCK = re.compile(r"<(/?)(del|s|strike)(?:\s[^<>]{0,1000})?>", re.IGNORECASE)


def without_struck(html: str) -> str:
    """The source without its struck elements.

    >>> without_struck("The fee is <del>30</del> <ins>25</ins> dollars.")
    'The fee is  <ins>25</ins> dollars.'
    """
    parts, position = [], 0
    for start, end in _outermost(html):
        parts.append(html[position:start])
        position = end
    return "".join([*parts, html[position:]])


def _outermost(html: str) -> Iterator[tuple[int, int]]:
    """Where struck elements begin and end, without those inside of others."""
    spans: list[tuple[int, int]] = []
    opened: dict[str, list[int]] = {}
    for match in _STRUCK.finditer(html):
        starts = opened.setdefault(match.group(2).lower(), [])
        if not match.group(1):
            starts.append(match.start())
        elif starts:
            spans.append((starts.pop(), match.end()))
    last = 0
    for start, end in sorted(spans):
        if start >= last:
            yield start, end
            last = end
