"""How much of a made manual a Markdown text gives back."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hpc_qa.documents.blocks import is_separator
from hpc_qa.documents.fidelity import masked
from tests.made_manual import FOOTER, HEADER, Part, headings, rows

_HEADING = re.compile(r"#{1,6}\s+(.*)")
_CELL_BORDER = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Recall:
    """The shares of headings and table rows that are there, and how many running lines are left."""

    headings: float
    heading_precision: float  # share of the text's headings that are some
    rows: float
    rows_by_style: dict[str, float]
    found_rows: int
    all_rows: int
    leaked: int  # lines of the running header and footer


def recall(markdown: str, parts: Sequence[Part]) -> Recall:
    """A row counts when all of it, cell by cell, is one table row; a heading when it is one, of whatever level."""
    lines = markdown.splitlines()
    wanted = {_plain(heading.text) for heading in headings(list(parts))}
    titles = [_plain(match.group(1)) for line in lines if (match := _HEADING.match(line))]
    there = Counter(row for line in lines if (row := _row(line)))
    found: dict[str, list[bool]] = defaultdict(list)
    for style, cells in rows(list(parts)):
        found[style].append(there[tuple(map(_plain, cells))] > 0)
    kept = [is_there for style in found.values() for is_there in style]
    return Recall(
        headings=_share(heading in titles for heading in wanted),
        heading_precision=_share(title in wanted for title in titles),
        rows=_share(kept),
        rows_by_style={style: _share(of_style) for style, of_style in found.items()},
        found_rows=sum(kept),
        all_rows=len(kept),
        leaked=leaked(lines),
    )


def leaked(lines: Iterable[str]) -> int:
    """Lines that hold the running header or the footer, or are a page number; a row of one number is none."""
    running = masked(HEADER), masked(FOOTER)
    return sum(
        any(one in masked(line) for one in running) or (line[:1] != "|" and masked(line) in ("page #", "#"))
        for line in lines
    )


def _row(line: str) -> tuple[str, ...]:
    """The cells of a table row that are not empty."""
    if not line.lstrip().startswith("|") or is_separator(line):
        return ()
    return tuple(filter(None, map(_plain, _CELL_BORDER.split(line.strip().strip("|")))))


def _plain(text: str) -> str:
    text = re.sub(r"<br\s*/?>", " ", text).replace("\\", "")
    return " ".join(re.sub(r"\*\*|__|`|(?<!\w)[*_]|[*_](?!\w)", "", text).split())


def _share(truths: Iterable[bool]) -> float:
    values = list(truths)
    return sum(values) / len(values) if values else 0.0
