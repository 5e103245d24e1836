"""Put back ruled tables that a converter tore apart.

A table whose cells are drawn with lines can be read from the lines and the places of the words alone. Where the
Markdown of a page lacks a row of such a table, the table is taken off the page, a mark is put in its place, and the
file is converted again; so the text around it comes in order too. The mark then gives way to the table. Tables without
lines, and those with cells that stand over several rows, are left to the converter.
"""

import bisect
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hpc_qa.documents.blocks import is_separator
from hpc_qa.documents.fidelity import count_words, words
from hpc_qa.documents.headings import Large
from hpc_qa.documents.pdf_pages import rewritten

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

NEAR = 2.0  # points; a border that is drawn as a thin box has two lines
MIN_ROWS, MIN_COLUMNS = 2, 2  # fewer is a frame around text
MAX_LINES = 500  # on one page; more is a drawing
MAX_LOST = 0.005  # of the words of a page
MAX_ADDED = 0.5  # of the words of its tables, which the converter may have lost
FILLED = 0.5  # share of the cells with a word in them; less is a form
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_NOT_TEXT = re.compile(r"(?:<br ?/?>|[\W_])+")


class _Line(NamedTuple):
    """A horizontal or vertical line: where it is, and from where to where it runs on the other axis."""

    at: float
    start: float
    end: float


class Word(Protocol):
    """A word and its box, in points from the upper left corner of the page."""

    text: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Page:
    """What a converter says about a page: its Markdown, and where lines and words are."""

    markdown: str
    height: float  # points
    lines: Sequence[tuple[float, float, float, float]]  # x1, y1, x2, y2
    boxes: Sequence[Word]
    large: Large = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuledTable:
    """A table that lines draw; points from the upper left corner of the page."""

    left: float
    top: float
    right: float
    bottom: float
    rows: list[list[str]]  # of the same length; the columns behind the first of a merged cell are empty

    def as_markdown(self) -> str:
        """The table, its first row as the header."""
        cells = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        first, *others = [f"| {' | '.join(row)} |" for row in cells]
        return "\n".join([first, f"|{'---|' * len(cells[0])}", *others])


def mended(data: bytes, pages: Sequence[Page], parse: Callable[[bytes], Sequence[Page] | None]) -> list[str]:
    """The Markdown of each page, torn tables put back where that loses no word."""
    torn = {index: tables for index, page in enumerate(pages) if (tables := torn_tables(page))}
    result = [page.markdown for page in pages]
    if not torn:
        return result
    marked = _with_marks(data, torn, [page.height for page in pages])
    again = None if marked is None else parse(marked)
    if again is None or len(again) != len(pages):
        return result
    for index, tables in torn.items():
        filled = _filled(again[index].markdown, index, tables)
        if filled is not None and _says_the_same(result[index], filled, tables):
            result[index] = filled
    return result


def torn_tables(page: Page) -> list[RuledTable]:
    """The ruled tables of a page, if the Markdown lacks a row of one."""
    tables = ruled_tables(page)
    there = {_squashed(_CELL_BORDER.split(row.strip().strip("|"))) for row in _table_rows(page.markdown)}
    is_torn = any(_squashed(row) not in there for table in tables for row in table.rows if any(row))
    return tables if is_torn else []


def ruled_tables(page: Page) -> list[RuledTable]:
    """The tables that lines draw on a page, from top to bottom."""
    if not MIN_ROWS + MIN_COLUMNS + 2 <= len(page.lines) <= MAX_LINES:
        return []
    across = [_Line(y1, min(x1, x2), max(x1, x2)) for x1, y1, x2, y2 in page.lines if abs(y1 - y2) <= NEAR]
    down = [_Line(x1, min(y1, y2), max(y1, y2)) for x1, y1, x2, y2 in page.lines if abs(x1 - x2) <= NEAR < abs(y1 - y2)]
    tables = []
    for left, right, ys in _frames(sorted(across)):
        inside = [line for line in down if left - NEAR <= line.at <= right + NEAR]
        for borders in _stretches(_merged(ys), inside, left, right):
            table = _read(page.boxes, borders, inside)
            if table is not None and not _is_divided_further(table, borders, across, inside):
                tables.append(table)
    return sorted(tables, key=lambda table: (table.top, table.left))


def _frames(across: Iterable[_Line]) -> list[tuple[float, float, list[float]]]:
    """Horizontal lines of the same left and right end: both ends, and how far down each line is."""
    frames: list[tuple[float, float, list[float]]] = []
    for y, left, right in across:
        for known_left, known_right, ys in frames:
            if abs(known_left - left) <= NEAR and abs(known_right - right) <= NEAR:
                ys.append(y)
                break
        else:
            frames.append((left, right, [y]))
    return frames


def _stretches(ys: Sequence[float], down: Sequence[_Line], left: float, right: float) -> list[list[float]]:
    """The borders between rows, of each stretch that has a line on its left and on its right."""
    stretches: list[list[float]] = []
    for above, below in itertools.pairwise(ys):
        crossing = _crossing(down, (above + below) / 2)
        if not all(any(abs(x - side) <= NEAR for x in crossing) for side in (left, right)):
            continue
        if stretches and stretches[-1][-1] == above:
            stretches[-1].append(below)
        else:
            stretches.append([above, below])
    return [borders for borders in stretches if len(borders) > MIN_ROWS]


def _crossing(down: Iterable[_Line], y: float) -> list[float]:
    """Where vertical lines cross this height, from left to right."""
    return _merged(line.at for line in down if line.start <= y <= line.end)


def _read(boxes: Sequence[Word], ys: Sequence[float], down: Sequence[_Line]) -> RuledTable | None:
    """The table between these borders; None where it is none."""
    xs = _merged(line.at for line in down if line.end > ys[0] + NEAR and line.start < ys[-1] - NEAR)
    if len(xs) <= MIN_COLUMNS:
        return None
    rows = []
    for above, below in itertools.pairwise(ys):
        row = [""] * (len(xs) - 1)
        in_row = [word for word in boxes if above <= _middle(word) < below and word.text.strip()]
        for left, right in itertools.pairwise(_crossing(down, (above + below) / 2)):
            row[max(0, bisect.bisect(xs, left + NEAR) - 1)] = _text(in_row, left, right)
        rows.append(row)
    filled = sum(bool(cell) for row in rows for cell in row)
    if filled < FILLED * len(rows) * (len(xs) - 1):
        return None
    return RuledTable(xs[0], ys[0], xs[-1], ys[-1], rows)


def _is_divided_further(table: RuledTable, ys: Sequence[float], across: Iterable[_Line], down: Sequence[_Line]) -> bool:
    """Whether a line from one of its vertical lines divides some cells of a row and not the others."""
    return any(
        table.top < y < table.bottom
        and all(abs(y - border) > NEAR for border in ys)
        and table.left - NEAR <= left
        and right <= table.right + NEAR
        and any(abs(line.at - left) <= NEAR for line in down)
        for y, left, right in across
    )


def _text(boxes: Iterable[Word], left: float, right: float) -> str:
    """The words between two borders of a row, line by line."""
    lines: list[list[Word]] = []
    for word in sorted((word for word in boxes if left <= word.x + word.width / 2 < right), key=_middle):
        if lines and _middle(word) - _middle(lines[-1][0]) < word.height / 2:
            lines[-1].append(word)
        else:
            lines.append([word])
    return " ".join(word.text.strip() for line in lines for word in sorted(line, key=lambda word: word.x))


def _middle(word: Word) -> float:
    return word.y + word.height / 2


def _merged(values: Iterable[float]) -> list[float]:
    """The values in order, without those that are near the one before."""
    result: list[float] = []
    for value in sorted(values):
        if not result or value - result[-1] > NEAR:
            result.append(value)
    return result


def _with_marks(data: bytes, torn: dict[int, list[RuledTable]], heights: Sequence[float]) -> bytes | None:
    """The file with a mark in the place of each of these tables; None where PDFium cannot change it."""

    def mark(document: "PdfDocument", page: "PdfPage", index: int) -> None:
        for number, table in enumerate(torn[index] if _is_plain(page) else ()):
            top, bottom = heights[index] - table.top, heights[index] - table.bottom
            for item in [item for item in page.get_objects(max_depth=1) if _is_inside(item, table, top, bottom)]:
                page.remove_obj(item)
            _draw(document, page, _mark(index, number), table.left, (top + bottom) / 2)

    return rewritten(data, torn, mark)


def _is_plain(page: Any) -> bool:
    """Whether places on the page count from its lower left corner: it is not turned and not cropped."""
    return bool(page.get_rotation() == 0 and page.get_cropbox()[:2] == page.get_mediabox()[:2] == (0, 0))


def _is_inside(item: Any, table: RuledTable, top: float, bottom: float) -> bool:
    low_x, low_y, high_x, high_y = map(float, item.get_bounds())
    x, y = (low_x + high_x) / 2, (low_y + high_y) / 2
    return table.left - NEAR <= x <= table.right + NEAR and bottom - NEAR <= y <= top + NEAR


def _draw(document: "PdfDocument", page: Any, text: str, x: float, y: float) -> None:
    import pypdfium2.raw as pdfium

    item = pdfium.FPDFPageObj_NewTextObj(document, b"Helvetica", 10.0)
    encoded = (text + "\0").encode("utf-16-le")
    pdfium.FPDFText_SetText(item, (pdfium.FPDF_WCHAR * (len(encoded) // 2)).from_buffer_copy(encoded))
    pdfium.FPDFPageObj_Transform(item, 1, 0, 0, 1, x, y)
    pdfium.FPDFPage_InsertObject(page, item)


def _mark(page: int, number: int) -> str:
    return f"ruledtable{page}x{number}x"


def _filled(markdown: str, page: int, tables: Sequence[RuledTable]) -> str | None:
    """The page with its tables in the places of their marks; None when one is not there."""
    for number, table in enumerate(tables):
        before, mark, behind = markdown.partition(_mark(page, number))
        if not mark:
            return None
        markdown = f"{before.rstrip(' *_#|')}\n\n{table.as_markdown()}\n\n{behind.lstrip(' *_|')}"
    return markdown


def _says_the_same(before: str, after: str, tables: Sequence[RuledTable]) -> bool:
    """Whether no word of a page was lost, and no table is there twice."""
    old, new = Counter(words(before)), Counter(words(after))
    in_tables = sum(count_words(cell) for table in tables for row in table.rows for cell in row)
    return (old - new).total() <= MAX_LOST * old.total() and (new - old).total() <= MAX_ADDED * in_tables


def _table_rows(markdown: str) -> list[str]:
    return [line for line in markdown.splitlines() if line.lstrip().startswith("|") and not is_separator(line)]


def _squashed(cells: Iterable[str]) -> tuple[str, ...]:
    """The letters and digits of the cells that have some."""
    return tuple(filter(None, (_NOT_TEXT.sub("", cell).lower() for cell in cells)))
