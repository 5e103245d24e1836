"""Digits that a page of a PDF sets high behind a word or a number: the marks of footnotes, and powers.

PDFium knows where the baseline of each letter is; its text and the converter's Markdown do not show it, and 30 with the
mark 1 reads as 301. Only ends of words that are digits are looked at, which costs little.
"""

import ctypes
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpc_qa.documents.pdf_pages import INT, POINTER, address, bare
from hpc_qa.documents.raised import superscript

if TYPE_CHECKING:
    from pypdfium2 import PdfTextPage

LEAST, MOST = 0.1, 0.9  # of the height of a line: how far above the baseline the digits stand
MIN_POINTS = 0.3
MAX_DIGITS = 3
BEFORE = 24  # characters by which the place is found again
# It begins with a set of few characters: the regex engine then runs over a page ten times as fast.
_CANDIDATE = re.compile(rf"[-+−\d](?<=\S.)(?:(?<=\d)\d{{0,{MAX_DIGITS - 1}}}|(?<!\d)\d{{1,{MAX_DIGITS}}})(?![^\W_])")
_MARKUP = r"[\s*_\\]{0,6}"


@dataclass(frozen=True, slots=True)
class Mark:
    """Raised digits, and what stands before them on their line."""

    before: str
    digits: str


def raised_on(text_page: "PdfTextPage", text: str) -> tuple[str, list[Mark]]:
    """The text of a page with its raised digits as such, and these."""
    if len(text) != text_page.count_chars():
        return text, []
    parts, marks, position = [], list[Mark](), 0
    for start, end in _raised_spans(text_page, text):
        line = text[max(position, start - BEFORE) : start].rsplit("\n", 1)[-1]
        marks.append(Mark(line, text[start:end]))
        parts += [text[position:start], superscript(text[start:end])]
        position = end
    return ("".join([*parts, text[position:]]), marks) if marks else (text, marks)


def _raised_spans(text_page: "PdfTextPage", text: str) -> Iterator[tuple[int, int]]:
    baseline = _baselines(text_page)
    for match in _CANDIDATE.finditer(text):
        start, end = match.span()
        base = baseline(start - 1)
        if base is None or (last := baseline(end - 1)) is None or last - base < MIN_POINTS:  # hardly any is
            continue
        height = _height(text_page, start - 1)
        for place in range(start, end):
            here = baseline(place)
            if here is not None and LEAST * height < here - base < MOST * height:
                yield place, end
                break


def _baselines(text_page: "PdfTextPage") -> Callable[[int], float | None]:
    """The height of a character's baseline above the bottom of the page, in points, by its index."""
    import pypdfium2.raw as pdfium

    x, y, page = ctypes.c_double(), ctypes.c_double(), address(text_page.raw)
    x_of, y_of = ctypes.addressof(x), ctypes.addressof(y)
    ask = bare(pdfium.FPDFText_GetCharOrigin, POINTER, INT, POINTER, POINTER)
    return lambda index: y.value if ask(page, index, x_of, y_of) else None


def _height(text_page: "PdfTextPage", index: int) -> float:
    """The height of a line of this character, in points; 0 where it is not known."""
    import pypdfium2.raw as pdfium

    box = pdfium.FS_RECTF()
    return box.top - box.bottom if pdfium.FPDFText_GetLooseCharBox(text_page.raw, index, box) else 0.0


def with_marks(markdown: str, marks: Sequence[Mark]) -> str:
    """The Markdown of a page with these digits as raised ones; one whose place cannot be told is left."""
    position = 0
    for mark in marks:
        for words in (4, 2, 1):  # so many words before it tell the place
            pattern = _pattern(mark, words)
            found = pattern.search(markdown, position) or pattern.search(markdown)
            if found:
                markdown = markdown[: found.start(1)].rstrip(" ") + superscript(mark.digits) + markdown[found.end(1) :]
                position = found.start(1)
                break
    return markdown


def _pattern(mark: Mark, words: int) -> re.Pattern[str]:
    parts = mark.before.split()[-words:]
    return re.compile(_MARKUP.join(map(re.escape, parts)) + rf"{_MARKUP}({re.escape(mark.digits)})(?![^\W_])")
