"""A passage as a page shows it: blocks of pieces of text, the evidence marked, what cannot be seen spelled out.

Nothing here is markup. A page puts every piece into its document as text, so that nothing in a document of others can
become a tag, turn the reading direction, or hide.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from hpc_qa.documents.blocks import Block, is_separator, lines_between, marker_length, parse_blocks

Span = tuple[int, int]
Piece = list[str]  # kind and text: "text", "evidence", or "hidden" for characters that are named instead of shown

SHORT_LINE_CHARS = 50
_CELL_END = re.compile(r"(?<!\\)\|")


def pieces(text: str, marks: Sequence[Span] = ()) -> list[Piece]:
    r"""The text in pieces; `marks` are the stretches that are evidence, in order and without overlap.

    >>> pieces("a\u202eb", [(2, 3)])
    [['text', 'a'], ['hidden', 'U+202E'], ['evidence', 'b']]
    """
    return _cut(text, 0, len(text), marks)


def evidence_spans(context: str, evidence: Sequence[str]) -> tuple[list[Span], list[str]]:
    """Where the evidence stands in its context, in order and without overlap; and what of it stands nowhere."""
    found = [(start, start + len(text)) for text in evidence if text and (start := context.find(text)) >= 0]
    spans: list[Span] = []
    for start, end in sorted(found):
        if spans and start < spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans, [text for text in evidence if text not in context]


def table_head(line: str | None) -> str:
    r"""What to put before a passage that begins in the middle of a table: its head, as a head of its rows.

    >>> table_head("| size | limit |")
    '| size | limit |\n| --- | --- |\n'
    """
    if not line:
        return ""
    cells = sum(1 for _ in _cells(line, 0, len(line)))
    return f"{line}\n{'| --- ' * max(1, cells)}|\n"


def passage(context: str, marks: Sequence[Span]) -> list[dict[str, Any]]:
    """The blocks of a chunk: headings, tables in rows of cells, and everything else as text."""
    return [_block(context, block, marks) for block in parse_blocks(context)]


def _block(text: str, block: Block, marks: Sequence[Span]) -> dict[str, Any]:
    if block.kind == "table":
        lines = list(lines_between(text, block.start, block.end))
        rows = [
            [_cut(text, *cell, marks) for cell in _cells(text, line.start, line.end)]
            for line in lines
            if not is_separator(line.text)
        ]
        return {"kind": "table", "head": len(lines) > 1 and is_separator(lines[1].text), "rows": rows}
    start = block.start
    if block.kind == "heading":
        start += len(text[start : block.end]) - len(text[start : block.end].lstrip("# \t"))
    elif block.kind == "item":
        start += marker_length(text[start : block.end])
    marker = text[block.start : start].strip() if block.kind == "item" else ""
    kind = _kind(block, text[start : block.end])
    return {"kind": kind, "marker": pieces(marker), "pieces": _cut(text, start, block.end, marks)}


def _kind(block: Block, text: str) -> str:
    """How a block is set: lines that were only wrapped run on, short ones (an address, a form) stay lines."""
    if block.kind not in ("paragraph", "rule"):
        return block.kind
    return "lines" if "\n" in text and max(map(len, text.splitlines())) < SHORT_LINE_CHARS else "text"


def _cells(text: str, start: int, end: int) -> Iterator[Span]:
    """The cells of a table row, without the bars and the space around them."""
    ends = [match.start() for match in _CELL_END.finditer(text, start, end)]
    edges = [start - 1, *ends, end]
    for left, right in itertools.pairwise(edges):
        low, high = left + 1, right
        outside = (low == start or right == end) and not text[low:high].strip()
        while low < high and text[low] in " \t":
            low += 1
        while high > low and text[high - 1] in " \t":
            high -= 1
        if not outside:
            yield low, high


def _cut(text: str, start: int, end: int, marks: Sequence[Span]) -> list[Piece]:
    """One stretch of the text in pieces."""
    inside = [(max(start, low), min(end, high)) for low, high in marks if low < end and high > start]
    found: list[Piece] = []
    for low, high in inside:
        found += _spell_out("text", text[start:low]) + _spell_out("evidence", text[low:high])
        start = high
    return found + _spell_out("text", text[start:end])


def _spell_out(kind: str, text: str) -> list[Piece]:
    """The stretch as pieces of this kind, with what is not visible as pieces of its own."""
    found: list[Piece] = []
    for hidden, characters in itertools.groupby(text, _is_hidden):
        stretch = "".join(characters)
        found += [["hidden", f"U+{ord(c):04X}"] for c in stretch] if hidden else [[kind, stretch]]
    return found


def _is_hidden(character: str) -> bool:
    return not (character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs")
