"""Pack the pieces of a document into chunks of at most so many tokens.

Greedy and in order: a heading closes a chunk that is mostly full, a chunk never ends in a heading, a table stays whole
when it fits. The tokens of a chunk are those of its pieces and of the places where they meet, if the tokenizer takes
words one by one; that this adds up is checked on every chunk that is nearly full and on some of the others. Where it
does not, and with any other tokenizer, every chunk is counted as one text, and one that is over is divided until none
is. Chunks do not overlap: one sentence is asked about once.
"""

import bisect
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpc_qa.documents.blocks import Block
from hpc_qa.documents.chunks import Chunk, Section, Sentence
from hpc_qa.documents.pieces import CountTokens, Piece, adds_up, cut
from hpc_qa.documents.sentences import sentence_spans

HEADING_CLOSES_AT = 0.6  # of chunk_size
CHECK_EVERY = 8  # chunks
NEARLY_FULL = 8  # tokens from the limit

Group = list[Piece]


@dataclass(frozen=True, slots=True)
class Packed:
    """The chunks of one document, each made when it is asked for: the sentences of a book would fill the memory."""

    markdown: str
    groups: list[tuple[Group, int]]  # with its tokens
    document_sha256: str
    page_starts: Sequence[int] | None

    @property
    def tokens(self) -> int:
        """Tokens of all chunks."""
        return sum(tokens for _, tokens in self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Chunk]:
        for index, (group, tokens) in enumerate(self.groups):
            yield _chunk(self.markdown, index, group, tokens, self.document_sha256, self.page_starts)


def chunk_blocks(
    markdown: str,
    blocks: Sequence[Block],
    *,
    document_sha256: str,
    page_starts: Sequence[int] | None,
    chunk_size: int,
    count: CountTokens,
) -> "Packed":
    """The chunks of a document that was cut into blocks.

    `page_starts` are the offsets of its pages in the Markdown, None where the format has no pages.
    """
    pieces = cut(markdown, blocks, chunk_size, count)
    groups = _fitting(markdown, _pack(pieces, chunk_size), chunk_size, count)
    return Packed(markdown, groups, document_sha256, page_starts)


def _pack(pieces: Sequence[Piece], chunk_size: int) -> list[Group]:
    groups: list[Group] = []
    group: Group = []
    used = 0
    for piece in pieces:
        full = used + piece.joined + piece.tokens > chunk_size
        new_part = piece.kind == "heading" and used >= HEADING_CLOSES_AT * chunk_size
        if group and (full or new_part):
            body, group = _without_last_headings(group)
            groups.append(body)
            used = _tokens(group)
            if used + piece.joined + piece.tokens > chunk_size:  # the headings stay in the path of what follows
                group, used = [], 0
        used += piece.tokens + (piece.joined if group else 0)
        group.append(piece)
    groups.append(_without_last_headings(group)[0])
    return [body for body in groups if body]


def _tokens(group: Group) -> int:
    """What the pieces and the places where they meet add up to."""
    return sum(piece.tokens + piece.joined for piece in group) - (group[0].joined if group else 0)


def _without_last_headings(group: Group) -> tuple[Group, Group]:
    """The group up to its last piece that says something, and what stands behind that from the first heading on."""
    size = len(group)
    while size and group[size - 1].kind in ("heading", "rule"):
        size -= 1
    return group[:size], list(itertools.dropwhile(lambda piece: piece.kind == "rule", group[size:]))


def _fitting(markdown: str, groups: list[Group], chunk_size: int, count: CountTokens) -> list[tuple[Group, int]]:
    """The groups with their token counts as one text; a group that is over is divided."""
    result: list[tuple[Group, int]] = []
    for group, tokens in zip(groups, _counted(markdown, groups, chunk_size, count), strict=True):
        if tokens <= chunk_size or len(group) == 1:
            result.append((group, tokens))
        else:
            middle = len(group) // 2
            halves = [_without_last_headings(group[:middle])[0], group[middle:]]
            result += _fitting(markdown, [half for half in halves if half], chunk_size, count)
    return result


def _counted(markdown: str, groups: Sequence[Group], chunk_size: int, count: CountTokens) -> list[int]:
    """The tokens of each group as one text: the sums where they hold wherever they were checked, else all counted."""
    texts = [markdown[group[0].start : group[-1].end] for group in groups]
    if not adds_up(count):
        return count(texts)
    sums = [_tokens(group) for group in groups]
    joined = [index for index, group in enumerate(groups) if len(group) > 1]
    nearly_full = (index for index in joined if sums[index] > chunk_size - NEARLY_FULL)
    unknown = (index for index, group in enumerate(groups) if sums[index] <= len(group))  # a token each, or none
    checked = sorted({*joined[::CHECK_EVERY], *nearly_full, *unknown})
    right = count([texts[index] for index in checked]) == [sums[index] for index in checked]
    return sums if right else count(texts)


def _chunk(
    markdown: str, index: int, group: Group, tokens: int, document_sha256: str, page_starts: Sequence[int] | None
) -> Chunk:
    start, end = group[0].start, group[-1].end
    text = markdown[start:end]
    sections = _sections(group)
    return Chunk(
        chunk_id=hashlib.sha256(f"{document_sha256}\0{start}\0{text}".encode()).hexdigest()[:16],
        index=index,
        text=text,
        headings=sections[0].headings,
        pages=None if page_starts is None else _pages(page_starts, start, end),
        char_start=start,
        char_end=end,
        tokens=tokens,
        sentences=_sentences(markdown, group),
        table_header=group[0].table_header,
        sections=sections[1:],
    )


def _sections(group: Group) -> tuple[Section, ...]:
    """The sections that a chunk has text of, each from its first heading on; that of its first text begins it."""
    found: list[Section] = []
    start = group[0].start
    opened: int | None = start  # where the headings begin that no text was seen of yet
    for piece in group:
        if piece.kind == "heading" and opened is None:
            opened = piece.start
        elif piece.kind not in ("heading", "rule"):
            if not found or piece.headings != found[-1].headings:
                found.append(Section((piece.start if opened is None else opened) - start, piece.headings))
            opened = None
    return tuple(found) or (Section(0, group[0].headings),)


def _sentences(markdown: str, group: Group) -> tuple[Sentence, ...]:
    origin = group[0].start
    spans = [span for piece in group for span in sentence_spans(piece.kind, markdown, piece.start, piece.end)]
    return tuple(Sentence(number, low - origin, high - origin) for number, (low, high) in enumerate(spans, start=1))


def _pages(page_starts: Sequence[int], start: int, end: int) -> tuple[int, ...]:
    """The pages, from 1, that a stretch of the Markdown lies on."""
    first = max(1, bisect.bisect_right(page_starts, start))
    last = max(first, bisect.bisect_left(page_starts, end))
    return tuple(range(first, last + 1))
