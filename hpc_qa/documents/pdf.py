"""PDF to Markdown, page by page, through a gate that catches silent loss.

PDFium's raw page text comes first: it tells encrypted and broken files, counts pages and words, and is the measure for
what follows. `liteparse` makes the Markdown; a file that it cannot open is repaired once with `pikepdf`; Markdown that
lost too many words is replaced by the raw text, without structure: that of a page, or of the whole document. Pages that
are pictures are named, and read where OCR is wanted; there is nothing to measure them against.
"""

import io
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.fidelity import (
    LOW_ASSOCIATION,
    PageByPage,
    RunningLines,
    count_words,
    coverage,
    running_lines,
    without_running_lines,
)
from hpc_qa.documents.headings import large_lines, with_headings
from hpc_qa.documents.hidden_pdf import PICTURE_SHARE, Hidden, letters_in, look, without_hidden
from hpc_qa.documents.lost_lines import with_lost_lines
from hpc_qa.documents.ocr import Ocr, Recognised, read_pages
from hpc_qa.documents.raised_pdf import Mark, raised_on, with_marks
from hpc_qa.documents.ruled import Page, mended
from hpc_qa.documents.signatures import format_of
from hpc_qa.documents.suspicion import MAX_PLACES
from hpc_qa.documents.text import clean, squeezed, without_escapes, without_padding
from hpc_qa.errors import DocumentError
from hpc_qa.units import plural

if TYPE_CHECKING:
    from liteparse import LiteParse, ParsedPage
    from pypdfium2 import PdfDocument, PdfPage

MIN_WORDS_A_PAGE = 50  # fewer on average, and pictures on the pages: a scan
LOST_PAGE_WORDS = 20  # a page with so many raw words, and none or too few of them in the Markdown, was lost
MAX_ROUNDS = 5  # of taking hidden text out
HEADER_SEARCH_BYTES = 1024
PAGES_AT_A_TIME = 1_000  # liteparse keeps all that it knows of a page, 0.25 MB, until the last one is done
_LAST_HALF, _FIRST_HALF = re.compile(r"(?<![\w-])([^\W\d_]{2,})-$"), re.compile(r"[a-z][^\W\d_]+")
_WORD = re.compile(r"(?<![\w-])[^\W\d_]+(?![\w-])")  # by itself, no half of another
_STREAM_NAME = re.compile(r"(?:stream )?<_io\.BytesIO object at 0x[0-9a-f]+>:? ?")


@dataclass(slots=True)
class _Raw:
    """What PDFium says about a file."""

    pages: list[str]
    words: int  # on all pages
    scanned: list[int]  # pages, from 1, with few words and a large picture
    marks: int  # objects drawn on all pages
    title: str | None
    hidden: Hidden = field(default_factory=Hidden)
    raised: dict[int, list[Mark]] = field(default_factory=dict)  # raised digits by page, from 1


def read_pdf(data: bytes, *, max_pages: int, min_word_coverage: float, ocr: Ocr | None = None) -> Extracted:
    """A PDF's text as Markdown.

    Raises:
        DocumentError: `malformed`, `encrypted`, `empty`, `needs_ocr` or `too_many_pages`.
    """
    _check_header(data)
    truncated = is_cut_off(data)  # of the file as it came: a repaired one has its end
    data, raw, repaired = _open(data, max_pages)
    data, raw = _shown(data, raw, max_pages)
    recognised = read_pages(data, raw.scanned, ocr) if ocr and not ocr.fault and raw.scanned else Recognised()
    by_ocr = recognised.texts
    for number, text in by_ocr.items():
        raw.words += count_words(text) - count_words(raw.pages[number - 1])
        raw.pages[number - 1] = text
    _check_text(raw, ocr, truncated=truncated)
    bodies, running = _without_running_lines(raw.pages)
    parsed = _parse(data, max_pages)
    if parsed is None and not repaired:
        data, repaired = _repair(data), True
        parsed = _parse(data, max_pages)
    markdown_pages = None if parsed is None else _mended(data, parsed, max_pages)
    if markdown_pages is not None:
        markdown_pages = [with_marks(page, raw.raised.get(n, ())) for n, page in enumerate(markdown_pages, start=1)]
    checked = None
    if markdown_pages is not None and len(markdown_pages) == len(bodies):
        cleaned = [
            without_running_lines(by_ocr.get(place, page), place, running)
            for place, page in enumerate(markdown_pages, start=1)
        ]
        checked = _checked_pages(bodies, cleaned, by_ocr, min_word_coverage, running)
    kept = checked is not None and (checked.coverage is None or checked.coverage >= min_word_coverage)
    return replace(
        _joined(checked.pages, "liteparse")
        if checked and kept
        else _joined([*map(_as_paragraphs, bodies)], "pypdfium2"),
        structure=kept,
        word_coverage=None if checked is None or checked.coverage is None else round(checked.coverage, 4),
        low_pages=checked.low if checked and kept else [],
        raw_pages=checked.raw if checked and kept else [],
        scanned_pages=raw.scanned,
        ocr_pages=sorted(by_ocr),
        repaired=repaired,
        truncated=truncated,
        title=raw.title,
        note=recognised.note,
        hidden_words=raw.hidden.words,
        hidden_text_places=raw.hidden.places[:MAX_PLACES],
    )


@dataclass(frozen=True, slots=True)
class ShownPdf:
    """A file without its hidden text, for another reader."""

    data: bytes
    bodies: list[str]  # the raw text of each page, without its header and footer
    hidden: Hidden


def shown_pdf(data: bytes, max_pages: int) -> ShownPdf | None:
    """What a reader of the pages sees; None where PDFium cannot read the file.

    Raises:
        DocumentError: `encrypted` or `too_many_pages`.
    """
    raw = _read_raw(data, max_pages)
    if raw is None:
        return None
    data, raw = _shown(data, raw, max_pages)
    return ShownPdf(data, _without_running_lines(raw.pages)[0], raw.hidden)


def _without_running_lines(pages: Sequence[str]) -> tuple[list[str], RunningLines]:
    """The raw pages without headers and footers, and these; a form in three copies is text, though its lines repeat."""
    running = running_lines(pages)
    bodies = [without_running_lines(page, place, running) for place, page in enumerate(pages, start=1)]
    return (bodies, running) if any(map(count_words, bodies)) else (list(pages), RunningLines(frozenset(), {}, {}))


def is_cut_off(data: bytes) -> bool:
    r"""Whether a file ends before its end mark: a download that broke off, for example.

    >>> is_cut_off(b"%PDF-1.7 1 0 obj endobj %%EOF\n"), is_cut_off(b"%PDF-1.7 %%EOF 1 0 obj endobj 2 0 ob")
    (False, True)
    """
    return data.rfind(b"%%EOF") < data.rfind(b"endobj")


def _check_header(data: bytes) -> None:
    if not data.strip(b"\0 \t\r\n"):
        raise DocumentError("empty", f"{len(data)} bytes")
    if b"%PDF-" not in data[:HEADER_SEARCH_BYTES]:
        start = data[:HEADER_SEARCH_BYTES].lstrip().lower()
        is_html = start.startswith((b"<!doctype", b"<html", b"<?xml"))
        other = "HTML" if is_html else format_of(data)
        raise DocumentError("malformed", f"the file is {other}, not PDF" if other else "no PDF header")


def _open(data: bytes, max_pages: int) -> tuple[bytes, _Raw, bool]:
    """The file as PDFium reads it, repaired if need be."""
    if data.startswith(b"%PDF-"):
        raw = _read_raw(data, max_pages)
        if raw is not None:
            return data, raw, False
    repaired = _repair(data)
    raw = _read_raw(repaired, max_pages)
    if raw is None:
        raise DocumentError("malformed", "not readable, and repairing it did not help")
    return repaired, raw, True


def _shown(data: bytes, raw: _Raw, max_pages: int) -> tuple[bytes, _Raw]:
    """The file without its hidden text, as far as that can go alone; as it is where something else would go too.

    What lay under hidden text of the same letters shows only when that is gone: the file is looked at again.
    """
    first = raw
    for _ in range(MAX_ROUNDS):
        shown = without_hidden(data, raw.hidden.pages) if raw.hidden.pages else None
        if shown is None:
            break
        again = _read_raw(shown, max_pages)
        if again is None or len(again.pages) != len(raw.pages):
            break
        letters, left = (sum(map(letters_in, one.pages)) for one in (raw, again))
        if left < letters - raw.hidden.letters:
            break
        data, raw = shown, again
    raw.title, raw.hidden = first.title, first.hidden
    return data, raw


def _read_raw(data: bytes, max_pages: int) -> _Raw | None:
    """None: the file is broken."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as exc:
        if exc.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise DocumentError("encrypted", "a password is needed") from exc
        return None
    if len(document) > max_pages:
        raise DocumentError("too_many_pages", f"{len(document)} pages, the limit is {max_pages}")
    if len(document) == 0:
        return None
    raw = _Raw([], 0, [], 0, document.get_metadata_value("Title").strip() or None)
    for index in range(len(document)):
        try:
            _read_raw_page(document, index, raw)
        except pypdfium2.PdfiumError:  # one page is broken: it counts as empty
            raw.pages.append("")
    return raw


def _read_raw_page(document: "PdfDocument", index: int, raw: _Raw) -> None:
    page = document[index]
    text_page = page.get_textpage()
    text, digits = raised_on(text_page, text_page.get_text_range())
    if digits:
        raw.raised[index + 1] = digits
    look(page, text_page, index, raw.hidden)
    text_page.close()
    found = len(text.split())
    if found < 2 * MIN_WORDS_A_PAGE:  # of a full page about as many will do
        found = count_words(text)
    raw.words += found
    if found < MIN_WORDS_A_PAGE:  # a full page needs no look at its pictures
        marks, share = _pictures(page)
        raw.marks += marks
        if share >= PICTURE_SHARE:
            raw.scanned.append(index + 1)
    raw.pages.append(text)
    page.close()


def _pictures(page: "PdfPage") -> tuple[int, float]:
    """How many objects a page has, and the share of its area that pictures take; some scanners make strips."""
    import pypdfium2.raw

    width, height = page.get_size()
    marks, share = 0, 0.0
    for item in page.get_objects(max_depth=3):
        marks += 1
        if item.type == pypdfium2.raw.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = item.get_bounds()
            share += abs((right - left) * (top - bottom)) / max(1.0, width * height)
    return marks, min(1.0, share)


def _check_text(raw: _Raw, ocr: Ocr | None, *, truncated: bool) -> None:
    found, pages = raw.words, len(raw.pages)
    if found == 0 and truncated:
        raise DocumentError("malformed", "the file is cut off, and nothing of its text is left; get it again")
    if found == 0 and raw.marks == 0:
        raise DocumentError("empty", f"nothing on {plural(pages, 'page')}")
    said = f"{found} words on {plural(pages, 'page')}, {len(raw.scanned)} of them pictures"
    if ocr and not ocr.fault:
        if found == 0:
            raise DocumentError("empty", f"{said}, on which OCR found no text")
        return
    scanned = set(raw.scanned)
    text = [page for number, page in enumerate(raw.pages, start=1) if number not in scanned]
    full = sum(map(count_words, text)) >= MIN_WORDS_A_PAGE * len(text) > 0 and 2 * len(text) >= pages
    if found == 0 or (found < MIN_WORDS_A_PAGE * pages and 2 * len(scanned) >= pages and not full):
        advice = ocr.fault if ocr else "set documents.ocr to auto"
        detail = f"{said}; {advice}, or recognise the text first, with ocrmypdf for example"
        raise DocumentError("needs_ocr", detail, pages=pages, scanned_pages=raw.scanned)


def _parse(data: bytes, max_pages: int) -> list[Page] | None:
    """Markdown, lines and words of each page, None when liteparse cannot read the file; so many pages at a time."""
    import liteparse

    pages: list[Page] = []
    for first in range(1, max_pages + 1, PAGES_AT_A_TIME):
        parser = liteparse.LiteParse(
            ocr_enabled=False,
            image_mode="off",
            extract_links=False,
            extract_vector_graphics=True,
            quiet=True,
            max_pages=max_pages,
            target_pages=f"{first}-{min(first + PAGES_AT_A_TIME - 1, max_pages)}",
            num_workers=1,
            output_format="markdown",
        )
        try:
            found = [_page(page) for page in _parsed_pages(parser, data)]
        except RuntimeError:  # what the converter raises, whatever is wrong with the file
            return None
        pages += found
        if len(found) < PAGES_AT_A_TIME:
            break
    return pages


def _parsed_pages(parser: "LiteParse", data: bytes) -> "Iterable[ParsedPage]":
    """The pages as `parser.parse` gives them, but each of their attributes is made when it is read.

    `parse` copies all that is known of a page into Python objects, which takes a third of its time.
    """
    pages: Iterable[ParsedPage] = parser._native.parse_bytes(data).pages  # its version is pinned, and a test compares
    return pages


def _mended(data: bytes, parsed: Sequence[Page], max_pages: int) -> list[str]:
    """The Markdown of each page, with the tables and headings that the converter did not see."""
    pages = mended(data, parsed, lambda file: _parse(file, max_pages))
    return with_headings(pages, [page.large for page in parsed])


def _page(page: "ParsedPage") -> Page:
    """A page with the words of its lines; without the lines that no table is made of."""
    graphics, items = page.vector_graphics, page.text_items
    lines = [(line.x1, line.y1, line.x2, line.y2) for line in graphics.lines] if graphics else []
    boxes = [word for item in items for word in item.words] if lines else []
    large = large_lines((item.text, item.font_name or "", item.font_size or 0.0) for item in items)
    return Page(page.markdown, page.height, lines, boxes, large)


def _repair(data: bytes) -> bytes:
    """The file as qpdf understands it, written anew."""
    import pikepdf

    start = max(0, data.find(b"%PDF-"))
    target = io.BytesIO()
    try:
        with pikepdf.open(io.BytesIO(data[start:])) as document:
            if not document.pages:
                raise DocumentError("empty", "the file has no page")
            document.save(target)
    except pikepdf.PasswordError as exc:
        raise DocumentError("encrypted", "a password is needed") from exc
    except (pikepdf.PdfError, ValueError, RuntimeError) as exc:
        said = _STREAM_NAME.sub("", str(exc))  # an address in memory, another one each time
        raise DocumentError("malformed", f"{type(exc).__name__}: {said}"[:300]) from exc
    return target.getvalue()


@dataclass(slots=True)
class _Checked:
    """What the gate let through of a document, page by page."""

    pages: list[str] = field(default_factory=list)
    low: list[int] = field(default_factory=list)  # pages whose lines did not stay together
    raw: list[int] = field(default_factory=list)  # pages that lost words, and are their raw text
    coverage: float | None = None  # of the converter, on the pages that it read; None: there was nothing to compare


def _checked_pages(
    raw_pages: Sequence[str], markdown_pages: Sequence[str], by_ocr: Collection[int], min_word_coverage: float,
    running: RunningLines,
) -> _Checked:  # fmt: skip
    """The pages, raw text where that is better; a page that was lost as a whole does not speak against the others."""
    gate, found = PageByPage(), _Checked()
    for number, (raw, markdown) in enumerate(zip(raw_pages, markdown_pages, strict=True), start=1):
        if number in by_ocr:
            found.pages.append(markdown)
            continue
        lost = not any(character.isalnum() for character in markdown) and count_words(raw) >= LOST_PAGE_WORDS
        low = not lost and gate.add(raw, markdown) < LOW_ASSOCIATION
        lost |= low and count_words(raw) >= LOST_PAGE_WORDS and coverage([raw], markdown) < min_word_coverage
        if lost:
            found.raw.append(number)
            found.pages.append(_as_paragraphs(raw))
            continue
        if low:
            found.low.append(number)
        found.pages.append(with_lost_lines(markdown, raw, number, running) if gate.lost_a_line else markdown)
    found.coverage = gate.coverage()
    if found.coverage is None and found.raw:  # every page was lost
        found.coverage = 0.0
    return found


def _as_paragraphs(raw_page: str) -> str:
    """Raw page text; a line that ends a sentence well before the margin ends a paragraph."""
    lines = [line.strip() for line in clean(raw_page.replace("\ufffe\r\n", "").replace("\ufffe", "-"))[0].split("\n")]
    width = max((len(line) for line in lines), default=0)
    parts = [
        line + ("\n\n" if line.endswith((".", ":", "!", "?")) and len(line) < 0.8 * width else "\n") for line in lines
    ]
    return "".join(parts)


def _joined(pages: Sequence[str], engine: str) -> Extracted:
    """One Markdown text; a sentence or a word that runs over a page end is put together."""
    starts, removed, places = [], 0, list[str]()
    parts: list[str] = []
    position = 0
    previous = ""
    for page in pages:
        cleaned, count, hidden = clean(page)
        body = squeezed(without_padding(without_escapes(cleaned))).strip("\n")
        removed += count
        places += hidden
        glue = "" if not previous else ("\n" if _runs_on(previous, body) else "\n\n")
        if previous and _divides_a_word(previous, body, pages):
            parts[-1], position, glue = parts[-1][:-1], position - 1, ""
        starts.append(position + (len(glue) if body else 0))
        if body:
            parts += (glue, body)
            position += len(glue) + len(body)
            previous = body
    text = "".join(parts) + "\n"
    return Extracted(
        markdown=text,
        engine=engine,
        page_starts=starts,
        removed_characters=removed,
        suspicious_unicode=bool(places),
        hidden_places=places,
    )


def _divides_a_word(before: str, after: str, pages: Sequence[str]) -> bool:
    """Whether a page ends within a word ("infor-", "mation"), and not behind the first half of "long-term"."""
    first, second = _LAST_HALF.search(before.rsplit("\n", 1)[-1]), _FIRST_HALF.match(after)
    if first is None or second is None or first.string.lstrip().startswith(("#", "|", "```")):
        return False
    halves = {first.group(1).lower(), second.group()}
    return not halves <= {word.lower() for page in pages for word in _WORD.findall(page)}


def _runs_on(before: str, after: str) -> bool:
    """Whether a paragraph goes on over a page end: no full stop before, a small letter after."""
    last = before.rsplit("\n", 1)[-1]
    return after[:1].islower() and last[-1:].isalnum() and not last.lstrip().startswith(("#", "|", "```"))
