"""Text that a page of a PDF holds and a reader does not see: found, counted, and taken out of the file.

Hidden is what is drawn invisibly or transparently, in letters of less than a point, off the page, or in white on
nothing. Invisible text on a picture is what OCR put over a scan, and stays. A form within the page has coordinates of
its own: of its text only what is drawn invisibly or transparently is found. What another drawing covers is not.
"""

import ctypes
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from hpc_qa.documents.fidelity import count_words
from hpc_qa.documents.pdf_pages import INT, POINTER, address, bare, rewritten
from hpc_qa.documents.suspicion import places_beside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pypdfium2 import PdfDocument, PdfPage, PdfTextPage

INVISIBLE = 3  # text render modes, ISO 32000-1 table 106
SEEN_BY_OUTLINE = frozenset({1, 2, 5, 6, 7})  # the last is a shape for a picture to shine through
WHITE = 250  # of 255, each colour
MIN_POINTS = 1.0
MIN_LETTERS = 3  # of which fewer can be thin in print
MAX_DEPTH = 3  # of forms within forms
PICTURE_SHARE = 0.5  # of a page's area, from which on it is a scan
BESIDE = 2  # objects on either side that a place is found again by

Box = tuple[float, float, float, float]  # left, bottom, right, top; points
Boxes: TypeAlias = "NDArray[np.float64]"  # [box, side], in the order of a box's sides


@dataclass(slots=True)
class Hidden:
    """What is hidden on some pages."""

    words: int = 0
    letters: int = 0
    places: list[str] = field(default_factory=list)  # see `suspicion.places_beside`
    pages: list[int] = field(default_factory=list)  # from 0

    def add(self, page: int, texts: Sequence[str], places: Sequence[str]) -> None:
        """Note what is hidden on one more page."""
        self.words += sum(map(count_words, texts))
        self.letters += sum(map(letters_in, texts))
        self.places += places
        self.pages.append(page)


@dataclass(frozen=True, slots=True)
class _Object:
    """An object of a page, or of a form within it."""

    raw: Any
    kind: int
    within: Any  # the form; None for the page


def letters_in(text: str) -> int:
    """How many letters and digits a text has."""
    return sum(map(str.isalnum, text))


def look(page: "PdfPage", text_page: "PdfTextPage", number: int, found: Hidden) -> None:
    """Note what is hidden on a page (from 0), with the text objects beside it."""
    unseen = [one.raw for one in _unseen(page, text_page)]
    if not unseen:
        return
    hidden = {address(one) for one in unseen}
    texts, places, before = list[str](), list[str](), list[str]()
    behind: list[str] | None = None  # since the last hidden object; None before the first
    for one in _text_objects(page):
        text = _text(one.raw, text_page)
        if address(one.raw) in hidden:
            if behind:
                places += places_beside("".join(before), "".join(behind))
                before = [*before, *behind][-BESIDE:]
            texts.append(text)
            behind = []
        elif behind is None:
            before = [*before, text][-BESIDE:]
        else:
            behind.append(text)
            if len(behind) == BESIDE:
                places += places_beside("".join(before), "".join(behind))
                before, behind = behind, None
    if behind is not None:
        places += places_beside("".join(before), "".join(behind))
    found.add(number, texts, places)


def without_hidden(data: bytes, pages: Collection[int]) -> bytes | None:
    """The file without what is hidden on these pages (from 0); None where nothing of it can go."""
    import pypdfium2.raw as pdfium

    gone = 0

    def take_out(_: "PdfDocument", page: "PdfPage", __: int) -> None:
        nonlocal gone
        text_page = page.get_textpage()
        unseen = list(_unseen(page, text_page))
        text_page.close()  # it knows the objects that go
        for raw in _removable(page, unseen):
            if pdfium.FPDFPage_RemoveObject(page.raw, raw):
                pdfium.FPDFPageObj_Destroy(raw)
                gone += 1

    shown = rewritten(data, pages, take_out)
    return shown if gone else None


def _removable(page: "PdfPage", unseen: Sequence[_Object]) -> list[Any]:
    """Objects of the page itself, and its forms in which there is nothing else: PDFium writes no form anew."""
    import pypdfium2.raw as pdfium

    hidden_in = Counter(address(one.within) for one in unseen if one.within is not None)
    forms = [
        one.raw
        for one in (_objects(page) if hidden_in else ())
        if one.kind == pdfium.FPDF_PAGEOBJ_FORM and one.within is None
        and hidden_in[address(one.raw)] == pdfium.FPDFFormObj_CountObjects(one.raw)
    ]  # fmt: skip
    return [one.raw for one in unseen if one.within is None] + forms


def _unseen(page: "PdfPage", text_page: "PdfTextPage") -> Iterator[_Object]:
    """The text objects that nobody sees, and that have letters."""
    backgrounds = _Backgrounds(page)
    for one, mode, white in _suspects(page):
        text = _text(one.raw, text_page)
        if not letters_in(text):
            continue
        box = None if one.within else _box(one.raw)
        if mode == INVISIBLE:
            hidden = not backgrounds.has_picture(box)
        elif white:
            hidden = box is not None and not backgrounds.has_colour(box)
        else:
            hidden = letters_in(text) >= MIN_LETTERS or _font_size(one.raw) < MIN_POINTS or not _is_tiny(box)
        if hidden:
            yield one


def _suspects(page: "PdfPage") -> Iterator[tuple[_Object, int, bool]]:
    """Text objects that may be hidden, with their render mode, and whether they are white; most pages have none.

    Every object of every page goes through here: it makes nothing but what it yields.
    """
    import pypdfium2.raw as pdfium

    get, kind_of, mode_of, fill_of, bounds_of = _functions()
    red, green, blue, alpha = colours = [ctypes.c_uint() for _ in range(4)]
    left, bottom, right, top = box = [ctypes.c_float() for _ in range(4)]
    colours_at, box_at = [*map(ctypes.addressof, colours)], [*map(ctypes.addressof, box)]
    first_x, first_y, last_x, last_y = _sheet(page)
    here, form, text = address(page.raw), pdfium.FPDF_PAGEOBJ_FORM, pdfium.FPDF_PAGEOBJ_TEXT

    def found(index: int) -> _Object:
        return _Object(pdfium.FPDFPage_GetObject(page.raw, index), kind, None)

    for index in range(pdfium.FPDFPage_CountObjects(page.raw)):
        raw = get(here, index)
        kind = kind_of(raw)
        if kind == form:
            yield from _unseen_in_form(found(index).raw)
        if kind != text:
            continue
        mode = mode_of(raw)
        if mode == INVISIBLE:
            yield found(index), mode, False
        elif mode in SEEN_BY_OUTLINE or not (fill_of(raw, *colours_at) and bounds_of(raw, *box_at)):
            continue
        elif red.value >= WHITE and green.value >= WHITE and blue.value >= WHITE and alpha.value:
            yield found(index), mode, True
        elif (
            not alpha.value
            or right.value - left.value < MIN_POINTS
            or top.value - bottom.value < MIN_POINTS
            or not (first_x <= right.value and left.value <= last_x and first_y <= top.value and bottom.value <= last_y)
        ):
            yield found(index), mode, False


@cache
def _functions() -> tuple[Callable[..., Any], ...]:
    """Those that every object is asked with: the object itself, its kind, render mode, colour and bounds."""
    import pypdfium2.raw as pdfium

    four = (POINTER,) * 4
    return (
        bare(pdfium.FPDFPage_GetObject, POINTER, INT, result=POINTER),
        bare(pdfium.FPDFPageObj_GetType, POINTER),
        bare(pdfium.FPDFTextObj_GetTextRenderMode, POINTER),
        bare(pdfium.FPDFPageObj_GetFillColor, POINTER, *four),
        bare(pdfium.FPDFPageObj_GetBounds, POINTER, *four),
    )


def _sheet(page: "PdfPage") -> Box:
    """The page with what is cut off it in print; a media box can be nonsense, or begin at any corner."""
    media, shown = page.get_mediabox(), page.get_bbox()
    return (
        min(media[0], media[2], shown[0]),
        min(media[1], media[3], shown[1]),
        max(media[0], media[2], shown[2]),
        max(media[1], media[3], shown[3]),
    )


def _unseen_in_form(form: Any) -> Iterator[tuple[_Object, int, bool]]:
    import pypdfium2.raw as pdfium

    colours = [ctypes.c_uint() for _ in range(4)]
    for one in _of_form(form, 1):
        if one.kind != pdfium.FPDF_PAGEOBJ_TEXT:
            continue
        mode = pdfium.FPDFTextObj_GetTextRenderMode(one.raw)
        known = pdfium.FPDFPageObj_GetFillColor(one.raw, *colours)
        if mode == INVISIBLE or (known and not colours[3].value and mode not in SEEN_BY_OUTLINE):
            yield one, mode, False


def _is_tiny(box: Box | None) -> bool:
    return box is not None and min(box[2] - box[0], box[3] - box[1]) < MIN_POINTS


class _Backgrounds:
    """What stands behind the text of a page; looked at when it is first asked for."""

    def __init__(self, page: "PdfPage") -> None:
        self._page = page

    def has_picture(self, box: Box | None) -> bool:
        """Whether the page is a scan, or its text stands on a picture."""
        pictures, _, share = self._found
        return share >= PICTURE_SHARE or (box is not None and _any_holds(pictures, box))

    def has_colour(self, box: Box) -> bool:
        """Whether white text there stands on anything that may be no white."""
        return _any_holds(self._found[1], box)

    @cached_property
    def _found(self) -> tuple[Boxes, Boxes, float]:
        """Boxes of pictures, boxes of what is not white, and the share of the page that pictures take."""
        import numpy as np
        import pypdfium2.raw as pdfium

        width, height = self._page.get_size()
        pictures, coloured = list[Box](), list[Box]()
        share, form = 0.0, None
        for one in _objects(self._page):
            if one.within is None:
                form = one.raw if one.kind == pdfium.FPDF_PAGEOBJ_FORM else None
            if one.kind in (pdfium.FPDF_PAGEOBJ_TEXT, pdfium.FPDF_PAGEOBJ_FORM):
                continue
            box = _box(one.raw if form is None else form)  # where in a form it is drawn, the form's matrix says
            if box is None:
                continue
            if one.kind == pdfium.FPDF_PAGEOBJ_IMAGE:
                share += (box[2] - box[0]) * (box[3] - box[1]) / max(1.0, width * height)
                pictures.append(box)
            if one.kind != pdfium.FPDF_PAGEOBJ_PATH or not _is_white(one.raw):
                coloured.append(box)
        return np.array(pictures).reshape(-1, 4), np.array(coloured).reshape(-1, 4), share


def _any_holds(boxes: Boxes, box: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, bottom, right, top = boxes.T
    return bool(((left <= x) & (x <= right) & (bottom <= y) & (y <= top)).any())


def _is_white(path: Any) -> bool:
    import pypdfium2.raw as pdfium

    colours = [ctypes.c_uint() for _ in range(4)]
    known = pdfium.FPDFPageObj_GetFillColor(path, *colours)
    return bool(known) and (colours[3].value == 0 or min(one.value for one in colours[:3]) >= WHITE)


def _text_objects(page: "PdfPage") -> Iterator[_Object]:
    import pypdfium2.raw as pdfium

    return (one for one in _objects(page) if one.kind == pdfium.FPDF_PAGEOBJ_TEXT)


def _objects(page: "PdfPage") -> Iterator[_Object]:
    """The objects of a page and of the forms in it, in the order in which they are drawn."""
    import pypdfium2.raw as pdfium

    get, kind_of = pdfium.FPDFPage_GetObject, pdfium.FPDFPageObj_GetType
    for index in range(pdfium.FPDFPage_CountObjects(page.raw)):
        raw = get(page.raw, index)
        kind = kind_of(raw)
        yield _Object(raw, kind, None)
        if kind == pdfium.FPDF_PAGEOBJ_FORM:
            yield from _of_form(raw, 1)


def _of_form(form: Any, depth: int) -> Iterator[_Object]:
    import pypdfium2.raw as pdfium

    for index in range(max(0, pdfium.FPDFFormObj_CountObjects(form))):
        raw = pdfium.FPDFFormObj_GetObject(form, index)
        kind = pdfium.FPDFPageObj_GetType(raw)
        yield _Object(raw, kind, form)
        if kind == pdfium.FPDF_PAGEOBJ_FORM and depth < MAX_DEPTH:
            yield from _of_form(raw, depth + 1)


def _text(raw: Any, text_page: "PdfTextPage") -> str:
    import pypdfium2.raw as pdfium

    size = pdfium.FPDFTextObj_GetText(raw, text_page.raw, None, 0)
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDFTextObj_GetText(raw, text_page.raw, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
    return buffer.raw[:size].decode("utf-16-le", "replace").rstrip("\0")


def _box(raw: Any) -> Box | None:
    import pypdfium2.raw as pdfium

    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium.FPDFPageObj_GetBounds(raw, left, bottom, right, top):
        return None
    return left.value, bottom.value, right.value, top.value


def _font_size(raw: Any) -> float:
    """In points on the page."""
    import pypdfium2.raw as pdfium

    size, matrix = ctypes.c_float(), pdfium.FS_MATRIX()
    if not (pdfium.FPDFTextObj_GetFontSize(raw, size) and pdfium.FPDFPageObj_GetMatrix(raw, matrix)):
        return MIN_POINTS
    return float(size.value * abs(matrix.a * matrix.d - matrix.b * matrix.c) ** 0.5)
