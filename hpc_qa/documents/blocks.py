"""Cut Markdown into blocks: headings, tables, fences, list items, paragraphs and rules.

One pass over the lines; a block is a pair of offsets into the text, so that every later slice is verbatim. This is no
CommonMark parser: inline markup is left alone, and nesting is not followed because chunks need none of it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["heading", "table", "fence", "item", "paragraph", "rule"]

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(?=\S)")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
MAX_TITLE = 500  # characters; a longer line is no heading
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_MARKER = re.compile(r"[ \t]*(?:[-*+\u2022\u2023\u25aa\u25e6\u2013]|(\d{1,3})[.)])[ \t]+(?=\S)")
_FIELD = re.compile(r" {0,3}:[A-Za-z][\w -]{0,40}:(?=\s)")  # ":Author: name", a field list of reStructuredText
_SEPARATOR = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the text without the line end behind it."""

    kind: Kind
    start: int
    end: int
    level: int = 0  # of a heading, from 1
    title: str = ""  # of a heading, without its marks


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the text, without its line end."""

    start: int
    end: int
    text: str


def lines_between(text: str, start: int, end: int) -> Iterator[Line]:
    """The lines of a stretch of the text; offsets count from the start of the text."""
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield Line(start, stop, text[start:stop])
        start = stop + 1


def parse_blocks(markdown: str) -> list[Block]:
    """The blocks of a document, in order, without overlap."""
    scanner = _Scanner()
    for line in lines_between(markdown, 0, len(markdown)):
        scanner.feed(line)
    scanner.finish()
    return scanner.blocks


def is_separator(row: str) -> bool:
    """Whether a table row is the line of dashes under the header.

    >>> is_separator("|---|:--:|"), is_separator("| a | b |")
    (True, False)
    """
    return "-" in row and _SEPARATOR.match(row) is not None


def marker_length(item: str) -> int:
    """How many characters the mark of a list item takes.

    >>> marker_length("- text"), marker_length("12. text"), marker_length("text")
    (2, 4, 0)
    """
    match = _MARKER.match(item)
    return match.end() if match else 0


def plain_title(title: str) -> str:
    """A heading without its inline markup.

    >>> plain_title("**2.1** The [LRS](#lrs) `model`")
    '2.1 The LRS model'
    """
    without_links = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title[:MAX_TITLE])
    return " ".join(re.sub(r"\*\*|__|`|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)", "", without_links).split())


class _Scanner:
    """Takes lines and keeps the block that is open."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._kind: Kind | None = None
        self._lines: list[Line] = []
        self._fence = ""
        self._fences_close = True

    def feed(self, line: Line) -> None:
        if self._kind == "fence":
            self._in_fence(line)
        elif not line.text.strip():
            self.close()
        elif self._fences_close and (match := _FENCE.match(line.text)):
            self._open("fence", line)
            self._fence = match.group(1)
        elif (match := _HEADING.match(line.text)) and len(line.text) <= MAX_TITLE:
            self._open("heading", line)
            self._close_heading(len(match.group(1)), line.text[match.end() :].rstrip("# \t"))
        else:
            self._feed_text(line)

    def finish(self) -> None:
        """End the document. A fence that was never closed was none: what stood behind it is read again."""
        if self._kind == "fence":
            opening, *rest = self._lines
            self._kind, self._lines, self._fences_close = None, [], False
            self.blocks.append(Block("rule", opening.start, opening.end))
            for line in rest:
                self.feed(line)
        self.close()

    def close(self) -> None:
        """End the open block."""
        if self._kind is not None:
            self.blocks.append(Block(self._kind, self._lines[0].start, self._lines[-1].end))
        self._kind, self._lines = None, []

    def _feed_text(self, line: Line) -> None:
        if line.text.lstrip().startswith("|"):
            self._continue("table", line)
        elif self._kind == "table" and "|" in line.text:
            self._lines.append(line)
        elif self._kind == "paragraph" and len(self._lines) == 1 and _SETEXT.match(line.text):
            self._setext(line)
        elif self._kind == "paragraph" and "|" in self._lines[-1].text and "|" in line.text and is_separator(line.text):
            self._table_without_edges(line)
        elif _RULE.match(line.text):
            self._open("rule", line)
            self.close()
        elif self._starts_item(line):
            self._open("item", line)
        elif self._kind in ("paragraph", "item"):
            self._lines.append(line)
        else:
            self._open("paragraph", line)

    def _starts_item(self, line: Line) -> bool:
        """A wrapped line of a paragraph may begin with a number; only "1." then begins a list."""
        match = _MARKER.match(line.text)
        if match is None:
            return _FIELD.match(line.text) is not None
        return self._kind != "paragraph" or match.group(1) in (None, "1")

    def _in_fence(self, line: Line) -> None:
        self._lines.append(line)
        if line.text.strip().startswith(self._fence) and not line.text.strip().strip(self._fence[0]):
            self.close()

    def _setext(self, line: Line) -> None:
        title = self._lines[0].text.strip()
        self._lines.append(line)
        self._close_heading(1 if "=" in line.text else 2, title)

    def _close_heading(self, level: int, title: str) -> None:
        self.blocks.append(Block("heading", self._lines[0].start, self._lines[-1].end, level, plain_title(title)))
        self._kind, self._lines = None, []

    def _table_without_edges(self, line: Line) -> None:
        header = self._lines.pop()
        if self._lines:
            self.close()
        self._kind, self._lines = "table", [header, line]

    def _continue(self, kind: Kind, line: Line) -> None:
        if self._kind == kind:
            self._lines.append(line)
        else:
            self._open(kind, line)

    def _open(self, kind: Kind, line: Line) -> None:
        self.close()
        self._kind, self._lines = kind, [line]
