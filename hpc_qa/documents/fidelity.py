"""Measure what a conversion lost, against the raw text of the pages.

Exceptions do not show silent loss: a reader can drop a column or tear a table apart and report success. Two figures
show it. Coverage: the share of the page text's words that the Markdown holds. Association: the share of neighbouring
words of each raw line that are still neighbours in the Markdown. Running headers and footers are left out of both.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence

LOW_ASSOCIATION = 0.85
EDGE_LINES = 4  # running headers and footers stand among so many lines from the top or the bottom
MIN_PAGES_TO_REPEAT = 3
MIN_RUNNING_WORDS = 4

_WORD = re.compile(r"[^\W_]+")
_BROKEN_WORD = re.compile(r"(?:(?<=[^\W\d_])-|[\u00ad\ufffe\x02])\r?\n(?=[^\W\d_])")
_ROMAN = re.compile(r"\b[ivxlc]+\b")
_MARKUP = re.compile(r"[*_`#>|\\]+")


def words(text: str) -> list[str]:
    """The words of a text in lower case, words that a line end broke put together."""
    return _WORD.findall(_BROKEN_WORD.sub("", text).lower())


def masked(line: str) -> str:
    """A line without markup and with its numbers hidden, so that "Page 7 of 9" equals "Page 8 of 9".

    >>> masked("**Page 7** of 9"), masked("GeoBase iv")
    ('page # of #', 'geobase #')
    """
    plain = " ".join(_MARKUP.sub(" ", line).lower().split())
    return _ROMAN.sub("#", re.sub(r"\d+", "#", plain))


def running_lines(pages: Sequence[str]) -> frozenset[str]:
    """The masked lines at the edges of pages that repeat on at least half of them."""
    if len(pages) < MIN_PAGES_TO_REPEAT:
        return frozenset()
    seen: Counter[str] = Counter()
    for page in pages:
        seen.update({masked(line) for line in _edges(page)})
    seen.pop("", None)
    return frozenset(line for line, count in seen.items() if count >= max(MIN_PAGES_TO_REPEAT, len(pages) / 2))


def without_running_lines(page: str, running: frozenset[str]) -> str:
    """A page without its header and footer."""
    if not running:
        return page
    lines = page.splitlines()
    full = [index for index, line in enumerate(lines) if line.strip()]
    edges = {*full[:EDGE_LINES], *full[-EDGE_LINES:]}
    return "\n".join(line for index, line in enumerate(lines) if not _is_running(line, running, at_edge=index in edges))


def _is_running(line: str, running: frozenset[str], *, at_edge: bool) -> bool:
    """At an edge a running line; anywhere else only a long one, or several that were put on one line."""
    rest = masked(line)
    if at_edge and rest in running:
        return True
    if rest.count(" ") + 1 < MIN_RUNNING_WORDS:
        return False
    for known in sorted(running, key=len, reverse=True):
        if known.count(" ") > 0:
            rest = rest.replace(known, "")
    return not rest.strip(" #")


def coverage(raw_pages: Iterable[str], markdown: str) -> float:
    """Share of the raw words that are in the Markdown, each as often; 1 when there are none."""
    there = Counter(words(markdown))
    wanted: Counter[str] = Counter()
    for page in raw_pages:
        wanted.update(words(page))
    total = sum(wanted.values())
    return sum((wanted & there).values()) / total if total else 1.0


def association(raw_page: str, markdown_page: str) -> float:
    """Share of neighbouring words of the raw lines that are neighbours on a line of the Markdown; 1 without any."""
    there: set[tuple[str, str]] = set()
    for line in re.split(r"\n[ \t]*\n|\n(?=[ \t]*[|#])", markdown_page):
        there.update(_pairs(line))
    wanted = [pair for line in _BROKEN_WORD.sub("", raw_page).splitlines() for pair in _pairs(line)]
    return sum(pair in there for pair in wanted) / len(wanted) if wanted else 1.0


def _pairs(line: str) -> Iterable[tuple[str, str]]:
    found = _WORD.findall(line.lower())
    return itertools.pairwise(found)


def _edges(page: str) -> list[str]:
    lines = [line for line in page.splitlines() if line.strip()]
    return lines[:EDGE_LINES] + lines[-EDGE_LINES:] if len(lines) > EDGE_LINES else lines
