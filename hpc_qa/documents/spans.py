"""Tables in which each row and each column reads alone.

A cell over several rows or columns is repeated in each that it covers, and the rows of a head become one row, the
names of a column from above to below with ` / ` between them: Markdown knows neither. A table that holds another, or
one that would become many times as large, stays as it is.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hpc_qa.documents.splices import spliced

MAX_CELLS = 100_000  # of one table when all are repeated
MAX_GROWTH = 10  # times its source, beside what a small table may have anyway
SMALL = 20_000  # characters

_TABLE = re.compile(r"<(/?)table(?:\s[^<>]{0,2000})?>", re.IGNORECASE)
_PART = re.compile(r"<(/?)(thead|tbody|tfoot|tr|td|th)(\s[^<>]{0,2000})?>", re.IGNORECASE)
_SPAN = re.compile(r"\b(row|col)span\s*=\s*[\"']?\s*(\d{1,5})", re.IGNORECASE)
_BLOCK = re.compile(r"</?(?:p|div|br)(?:\s[^<>]{0,1000})?/?>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str  # its source, without its tag
    rows: int  # that it covers; 0 is all that are left
    columns: int
    is_head: bool


@dataclass(slots=True)
class _Row:
    cells: list[_Cell]
    in_head: bool
    group: int  # a cell covers no row of another part of the table


def readable_tables(html: str) -> str:
    """The source of a page with its tables written out.

    >>> readable_tables("<table><tr><td rowspan=2>a<td>b<tr><td>c</table>")
    '<table><tr><td>a</td><td>b</td></tr><tr><td>a</td><td>c</td></tr></table>'
    """
    return spliced(html, ((start, end, _written_out(html[start:end])) for start, end in _tables(html)))


def _tables(html: str) -> Iterator[tuple[int, int]]:
    """What stands between the tags of each table that holds no other."""
    start = -1
    for match in _TABLE.finditer(html):
        if match.group(1) and start >= 0:
            yield start, match.start()
        start = -1 if match.group(1) else match.end()


def _written_out(source: str) -> str:
    first = _PART.search(source)
    if first is None:
        return source
    rows = _rows(source)
    head = sum(1 for _ in _head(rows))
    if head < 2 and not any(cell.rows != 1 or cell.columns != 1 for row in rows for cell in row.cells):
        return source
    grid = _grid(rows)
    if grid is None:
        return source
    top = [_joined(column) for column in zip(*grid[:head], strict=True)] if head else []
    written = f"<thead>{_row(top, 'th')}</thead>" if head else ""
    return source[: first.start()] + written + "".join(_row(row, "td") for row in grid[head:])


def _rows(source: str) -> list[_Row]:
    """The rows as they are written; what stands beside the cells goes into the one before it."""
    rows: list[_Row] = []
    in_head, group = False, 0
    parts = list(_PART.finditer(source))
    for index, match in enumerate(parts):
        closes, name = bool(match.group(1)), match.group(2).lower()
        if name in ("thead", "tbody", "tfoot"):
            in_head, group = name == "thead" and not closes, group + 1
        elif name == "tr" and not closes:
            rows.append(_Row([], in_head, group))
        elif name in ("td", "th") and not closes:
            if not rows:
                rows.append(_Row([], in_head, group))
            end = parts[index + 1].start() if index + 1 < len(parts) else len(source)
            rows[-1].cells.append(_cell(source[match.end() : end], match.group(3) or "", is_head=name == "th"))
    return [row for row in rows if row.cells or row.in_head]


def _cell(text: str, attributes: str, *, is_head: bool) -> _Cell:
    spans = {kind.lower(): int(number) for kind, number in _SPAN.findall(attributes)}
    return _Cell(text.strip(), spans.get("row", 1), max(1, spans.get("col", 1)), is_head)


def _head(rows: list[_Row]) -> Iterator[_Row]:
    """The rows of the head: those that say so, else the first and those that its cells make part of it."""
    if any(row.in_head for row in rows):
        yield from itertools.takewhile(lambda row: row.in_head, rows)
        return
    reach = 1  # rows that belong together so far
    for index, row in enumerate(rows):
        heads_only = all(cell.is_head for cell in row.cells)
        if index >= reach or not (heads_only or _is_top_of_a_head(rows[0])):
            return
        yield row
        wide = heads_only and any(cell.columns > 1 for cell in row.cells)
        reach = max(reach, index + 1 + wide, *(index + cell.rows for cell in row.cells if not index or heads_only))


def _is_top_of_a_head(row: _Row) -> bool:
    """Whether it has names over several columns, beside others that reach down to where these are divided."""
    return any(cell.columns > 1 for cell in row.cells) and any(cell.rows > 1 for cell in row.cells)


def _grid(rows: list[_Row]) -> list[list[str]] | None:
    """The text of every place of the table; None where there would be too much of it."""
    ends = {row.group: index + 1 for index, row in enumerate(rows)}
    if not _fits(rows, ends):
        return None
    grid: list[dict[int, str]] = [{} for _ in rows]
    for index, row in enumerate(rows):
        column = 0
        for cell in row.cells:
            while column in grid[index]:
                column += 1
            for line in grid[index : index + _depth(cell, ends[row.group] - index)]:
                line.update(dict.fromkeys(range(column, column + cell.columns), cell.text))
            column += cell.columns
    width = max((max(line, default=-1) + 1 for line in grid), default=0)
    return (
        [[line.get(place, "") for place in range(width)] for line in grid] if width * len(rows) <= MAX_CELLS else None
    )


def _fits(rows: list[_Row], ends: dict[int, int]) -> bool:
    sizes = [
        (cell.columns * _depth(cell, ends[row.group] - index), len(cell.text))
        for index, row in enumerate(rows)
        for cell in row.cells
    ]
    most = SMALL + MAX_GROWTH * sum(length for _, length in sizes)
    return sum(places for places, _ in sizes) <= MAX_CELLS and sum(n * length for n, length in sizes) <= most


def _depth(cell: _Cell, left: int) -> int:
    """How many rows a cell covers of those that are left in its part of the table."""
    return min(left, cell.rows or left)


def _joined(names: Iterable[str]) -> str:
    """The names of a column, from above to below, each once."""
    lines = (" ".join(_BLOCK.sub(" ", name).split()) for name in names)
    return " / ".join(dict.fromkeys(line for line in lines if line))


def _row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"
