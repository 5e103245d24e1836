"""Cut a document into pieces that each fit into a chunk.

A block that fits is one piece. One that does not is cut at the next finer border: a table at its rows, a fence at its
lines, a paragraph at its sentences, and whatever is still too long at its tokens. Which pieces form a chunk is decided
in `packing`.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from hpc_qa.documents.blocks import Block, Kind, is_separator, lines_between
from hpc_qa.documents.sentences import split_sentences

CountTokens = Callable[[Sequence[str]], list[int]]

# A longer stretch is cut before it is counted: no tokenizer in use takes more characters for a token on average, and
# counting one string of megabytes is slow.
CHARS_PER_TOKEN = 12
MAX_TABLE_HEADER = 1_000  # characters; it is noted beside every row of a divided table


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the text that is not divided among chunks."""

    kind: Kind
    start: int
    end: int
    tokens: int = 0
    headings: tuple[str, ...] = ()  # in force for it; of a heading, with itself
    table_header: str | None = None  # set on the rows of a divided table after its first piece


def cut(text: str, blocks: Sequence[Block], chunk_size: int, count: CountTokens) -> list[Piece]:
    """The document's pieces in order, each of at most chunk_size tokens as counted alone."""
    pieces = [
        Piece(block.kind, block.start, block.end, headings=path)
        for block, path in zip(blocks, _heading_paths(blocks), strict=True)
    ]
    for finer in itertools.chain((_lines_or_sentences, _windows(chunk_size)), itertools.repeat(_halves)):
        pieces, done = _cut_long(text, pieces, chunk_size, count, finer)
        if done:
            break
    return pieces


def _heading_paths(blocks: Sequence[Block]) -> Iterator[tuple[str, ...]]:
    path: list[tuple[int, str]] = []
    for block in blocks:
        if block.kind == "heading":
            while path and path[-1][0] >= block.level:
                path.pop()
            path.append((block.level, block.title))
        yield tuple(title for _, title in path if title)


def _trimmed(text: str, piece: Piece) -> Piece:
    start, end = piece.start, piece.end
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return replace(piece, start=start, end=end)


Cutter = Callable[[str, Piece], list[Piece]]


def _cut_long(
    text: str, pieces: Sequence[Piece], chunk_size: int, count: CountTokens, finer: Cutter
) -> tuple[list[Piece], bool]:
    """Count what has no count yet and cut what is too long; whether nothing had to be cut."""
    uncounted = [
        index
        for index, piece in enumerate(pieces)
        if not piece.tokens and piece.end - piece.start <= CHARS_PER_TOKEN * chunk_size
    ]
    counts = dict(zip(uncounted, count([text[pieces[i].start : pieces[i].end] for i in uncounted]), strict=True))
    result: list[Piece] = []
    done = True
    for index, piece in enumerate(pieces):
        tokens = piece.tokens or counts.get(index, chunk_size + 1)
        if tokens <= chunk_size or piece.end - piece.start <= 1:
            result.append(replace(piece, tokens=max(1, tokens)))
        else:
            result += (part for each in finer(text, piece) if (part := _trimmed(text, each)).end > part.start)
            done = False
    return result, done


def _lines_or_sentences(text: str, piece: Piece) -> list[Piece]:
    if piece.kind == "table":
        return _rows(text, piece)
    if piece.kind == "fence":
        lines = lines_between(text, piece.start, piece.end)
        return [replace(piece, start=line.start, end=line.end) for line in lines if line.end > line.start]
    kind: Kind = "paragraph" if piece.kind == "item" else piece.kind
    spans = split_sentences(text, piece.start, piece.end)
    return [
        replace(piece, kind=piece.kind if start == piece.start else kind, start=start, end=end) for start, end in spans
    ]


def _rows(text: str, piece: Piece) -> list[Piece]:
    """The header, its dashes and the first row together, then row by row with the header noted beside."""
    lines = list(lines_between(text, piece.start, piece.end))
    has_header = len(lines) > 1 and is_separator(lines[1].text)
    first = min(3 if has_header else 1, len(lines))
    header = lines[0].text.strip()[:MAX_TABLE_HEADER] if has_header else None
    head = replace(piece, end=lines[first - 1].end)
    return [head, *(replace(piece, start=row.start, end=row.end, table_header=header) for row in lines[first:])]


def _windows(chunk_size: int) -> Cutter:
    """Cut at every so many characters, at a space where there is one near."""
    width = CHARS_PER_TOKEN * chunk_size

    def cutter(text: str, piece: Piece) -> list[Piece]:
        if piece.end - piece.start <= width:
            return _halves(text, piece)
        borders = [piece.start]
        while piece.end - borders[-1] > width:
            borders.append(_near_space(text, borders[-1] + width * 3 // 4, borders[-1] + width))
        return _between(piece, [*borders, piece.end])

    return cutter


def _halves(text: str, piece: Piece) -> list[Piece]:
    size = piece.end - piece.start
    middle = _near_space(text, piece.start + max(1, size // 4), piece.start + max(1, size // 2))
    return _between(piece, [piece.start, middle, piece.end])


def _near_space(text: str, low: int, high: int) -> int:
    """The last border between words in a stretch, or its end."""
    for mark in ("\n", " "):
        found = text.rfind(mark, low, high)
        if found > low:
            return found + 1
    return high


def _between(piece: Piece, borders: Sequence[int]) -> list[Piece]:
    return [
        replace(piece, start=start, end=end, kind=piece.kind if start == piece.start else _rest_kind(piece.kind))
        for start, end in itertools.pairwise(borders)
        if end > start
    ]


def _rest_kind(kind: Kind) -> Kind:
    return "paragraph" if kind in ("item", "rule") else kind
