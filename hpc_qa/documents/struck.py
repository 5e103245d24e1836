"""Text that a page shows as no longer valid: taken out, as it is no fact any more.

`<del>`, `<s>` and `<strike>` go with what is in them; `<ins>` is text like any other. An element that is never closed
strikes nothing for sure, so its text stays.
"""

import re
from collections.abc import Iterator

from hpc_qa.documents.splices import spliced

_STRUCK = re.compile(r"<(/?)(del|s|strike)(?:\s[^<>]{0,1000})?>", re.IGNORECASE)


def without_struck(html: str) -> str:
    """The source without its struck elements.

    >>> without_struck("The fee is <del>30</del> <ins>25</ins> dollars.")
    'The fee is  <ins>25</ins> dollars.'
    """
    return spliced(html, sorted((start, end, "") for start, end in _closed(html)))


def _closed(html: str) -> Iterator[tuple[int, int]]:
    """Where struck elements begin and end."""
    opened: dict[str, list[int]] = {}
    for match in _STRUCK.finditer(html):
        starts = opened.setdefault(match.group(2).lower(), [])
        if not match.group(1):
            starts.append(match.start())
        elif starts:
            yield starts.pop(), match.end()
