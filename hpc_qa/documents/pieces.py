"""Cut a document into pieces that each fit into a chunk.

A block that fits is one piece. One that does not is cut at the next finer border: a table at its rows, a fence at its
lines, a paragraph at its sentences, and whatever is still too long at its tokens. Which pieces form a chunk is decided
in `packing`.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from hpc_qa.documents.blocks import Block, Kind, is_separator, lines_between
from hpc_qa.documents.sentences import split_sentences

CountTokens = Callable[[Sequence[str]], list[int]]


def adds_up(count: CountTokens) -> bool:
    """Whether the tokens of a text are those of its parts and of the places where they meet.

    So it is when the tokenizer cuts at the space between words first: no token runs over it, and none depends on what
    stands behind it. A counter that knows it says so (`words_apart`); of one that says nothing it is not known.
    """
    return bool(getattr(count, "words_apart", False))


# A longer stretch is cut before it is counted: no tokenizer in use takes more characters for a token on average, and
# counting one string of megabytes is slow.
CHARS_PER_TOKEN = 12
MAX_WORD = 200  # characters of a word that are looked at where two pieces meet
MAX_TABLE_HEADER = 1_000  # characters; it is noted beside every row of a divided table
_FIRST_WORD = re.compile(rf"\s*\S{{0,{MAX_WORD}}}")
_LETTERS = re.compile(r"[^\W_]+")

Join = tuple[str, str, str]  # the last word of a piece, the space behind it, the first word of the next


class Piece(NamedTuple):
    """A stretch of the text that is not divided among chunks."""

    kind: Kind
    start: int
    end: int
    tokens: int = 0  # counted alone
    headings: tuple[str, ...] = ()  # in force for it; of a heading, with itself
    table_header: str | None = None  # set on the rows of a divided table after its first piece
    joined: int = 0  # tokens that it takes more behind the piece before it: the space between them is tokens too


def cut(text: str, blocks: Sequence[Block], chunk_size: int, count: CountTokens) -> list[Piece]:
    """The document's pieces in order, each of at most chunk_size tokens as counted alone."""
    pieces = [
        Piece(block.kind, block.start, block.end, headings=path)
        for block, path in zip(blocks, _heading_paths(blocks), strict=True)
    ]
    coarse_first = (_lines_or_sentences, _header_and_row, _windows(chunk_size))
    for finer in itertools.chain(coarse_first, itertools.repeat(_halves)):
        pieces, done = _cut_long(text, pieces, chunk_size, count, finer)
        if done:
            break
    return _with_joins(text, pieces, count)


def _with_joins(text: str, pieces: Sequence[Piece], count: CountTokens) -> list[Piece]:
    """The pieces with what each takes more behind the one before it.

    A tokenizer looks no further than the words on both sides: it is asked about these and the space between them.
    """
    joins: list[Join] = []
    kinds: dict[Join, Join] = {}  # one join of each kind stands for all: at a line end, which letters these are is one
    for before, after in itertools.pairwise(pieces):
        join = (_last_word(text, before), text[before.end : after.start], _first_word(text, after))
        kind = (_LETTERS.sub("a", join[0]), join[1], _LETTERS.sub("a", join[2])) if "\n" in join[1] else join
        joins.append(kinds.setdefault(kind, join))
    asked = list(dict.fromkeys(string for join in kinds.values() for string in (join[0], join[2], "".join(join))))
    tokens = dict(zip(asked, count(asked), strict=True))
    more = (tokens["".join(join)] - tokens[join[0]] - tokens[join[2]] for join in joins)
    return [piece._replace(joined=join) for piece, join in zip(pieces, [0, *more], strict=False)]


def _last_word(text: str, piece: Piece) -> str:
    """The last word, with the space around it."""
    stop = piece.end
    while stop > piece.start and text[stop - 1].isspace():
        stop -= 1
    low = max(piece.start, stop - MAX_WORD)
    return text[max(low, text.rfind(" ", low, stop), text.rfind("\n", low, stop)) : piece.end]


def _first_word(text: str, piece: Piece) -> str:
    """The first word, with the space before it."""
    match = _FIRST_WORD.match(text, piece.start, piece.end)
    return match.group() if match else ""


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
    return piece._replace(start=start, end=end)


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
        if piece.tokens:
            result.append(piece)
            continue
        tokens = counts.get(index, chunk_size + 1)
        if tokens <= chunk_size or piece.end - piece.start <= 1:
            result.append(piece._replace(tokens=max(1, tokens)))
        else:
            result += (part for each in finer(text, piece) if (part := _trimmed(text, each)).end > part.start)
            done = False
    return result, done


def _lines_or_sentences(text: str, piece: Piece) -> list[Piece]:
    if piece.kind == "table":
        return _rows(text, piece)
    if piece.kind == "fence":
        lines = lines_between(text, piece.start, piece.end)
        return [piece._replace(start=line.start, end=line.end) for line in lines if line.end > line.start]
    kind: Kind = "paragraph" if piece.kind == "item" else piece.kind
    spans = split_sentences(text, piece.start, piece.end)
    return [
        piece._replace(kind=piece.kind if start == piece.start else kind, start=start, end=end) for start, end in spans
    ]


def _rows(text: str, piece: Piece) -> list[Piece]:
    """The header, its dashes and the first row together, then row by row with the header noted beside."""
    lines = list(lines_between(text, piece.start, piece.end))
    has_header = len(lines) > 1 and is_separator(lines[1].text)
    first = min(3 if has_header else 1, len(lines))
    header = lines[0].text.strip()[:MAX_TABLE_HEADER] if has_header else None
    head = piece._replace(end=lines[first - 1].end)
    return [head, *(piece._replace(start=row.start, end=row.end, table_header=header) for row in lines[first:])]


def _header_and_row(text: str, piece: Piece) -> list[Piece]:
    """The header with its dashes, and the first row with the header noted beside, where both together are too long."""
    if piece.kind != "table" or piece.table_header is not None:
        return [piece]
    lines = list(lines_between(text, piece.start, piece.end))
    if len(lines) < 3 or not is_separator(lines[1].text):
        return [piece]
    header = lines[0].text.strip()[:MAX_TABLE_HEADER]
    return [piece._replace(end=lines[1].end), piece._replace(start=lines[2].start, table_header=header)]


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
        piece._replace(start=start, end=end, kind=piece.kind if start == piece.start else _rest_kind(piece.kind))
        for start, end in itertools.pairwise(borders)
        if end > start
    ]


def _rest_kind(kind: Kind) -> Kind:
    return "paragraph" if kind in ("item", "rule") else kind
