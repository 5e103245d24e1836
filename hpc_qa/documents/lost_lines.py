"""Lines of a page that the converter took for a header or lost otherwise: put back where they stood.

A converter that drops what repeats also drops the lines of forms and rate sheets that differ in their numbers alone.
Whatever share of the page they are, the words of such a line are missing in the Markdown, all of them.
"""

import re
from collections import Counter
from collections.abc import Sequence

from hpc_qa.documents.fidelity import EDGE_LINES, RunningLines

MIN_LETTERS = 4  # of a line of one word
_WORD = re.compile(r"[^\W_]+")
_PAGE = re.compile(r"\W*(?:page|p\.|seite)?\s*[\divxlc]{1,6}(?:\s*(?:of|von|/)\s*\d+)?\W*", re.IGNORECASE)  # its number
_TABLE = re.compile(r"[ \t]*\|")


def with_lost_lines(markdown: str, raw_page: str, place: int, running: RunningLines) -> str:
    """The Markdown of a page (from 1) with the lines of its raw text that it lacks.

    A line at the edge of the page that may be a header or footer stays away.
    """
    missing = Counter(_words(raw_page)) - Counter(_words(markdown))
    if not missing:
        return markdown
    lines = [line for line in raw_page.splitlines() if line.strip()]
    edges = {*range(EDGE_LINES), *range(len(lines) - EDGE_LINES, len(lines))}
    lost: list[int] = []
    for index, line in enumerate(lines):
        found = Counter(_whole_words(lines, index))
        furniture = index in edges and (running.may_hold(line, place) or _PAGE.fullmatch(line))
        if _says_something(found) and found <= missing and not furniture:
            missing -= found
            lost.append(index)
    position = 0
    for index in lost:
        before = next((lines[other] for other in range(index - 1, -1, -1) if other not in lost), None)
        position = max(position, _end_of(markdown, before, position) if before else 0)
        text = lines[index].strip()
        markdown = f"{markdown[:position].rstrip()}\n\n{text}\n\n{markdown[position:].lstrip()}".lstrip("\n")
        position = markdown.index(text, max(0, position - 2)) + len(text)
    return markdown


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _whole_words(lines: Sequence[str], index: int) -> list[str]:
    """The words of a line without the halves of those that a line end divides."""
    found = _words(lines[index])
    if index and lines[index - 1].rstrip().endswith(("-", "\ufffe", "\u00ad")):
        found = found[1:]
    return found[:-1] if lines[index].rstrip().endswith(("-", "\ufffe", "\u00ad")) else found


def _says_something(found: Counter[str]) -> bool:
    return found.total() > 1 or any(len(word) >= MIN_LETTERS for word in found)


def _end_of(markdown: str, line: str, start: int) -> int:
    """Where the Markdown line ends that holds the end of this raw line, or the table that it is a row of."""
    tail = _words(line)[-3:]
    match = re.compile(r"[\W_]+".join(map(re.escape, tail)), re.IGNORECASE).search(markdown, start) if tail else None
    if match is None:
        return start
    end = _line_end(markdown, match.end())
    while _TABLE.match(markdown, markdown.rfind("\n", 0, end) + 1) and _TABLE.match(markdown, end + 1):
        end = _line_end(markdown, end + 1)
    return end


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
