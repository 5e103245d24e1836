"""Pages of a PDF with PDFium: changed and written anew, and its functions called at half the cost."""

import ctypes
import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

Change = Callable[["PdfDocument", "PdfPage", int], None]


POINTER, INT = ctypes.c_void_p, ctypes.c_int


def bare(function: Any, *arguments: Any, result: Any = INT) -> Callable[..., Any]:
    """A function of PDFium that takes addresses as plain numbers: what it is called with for every object of a page.

    pypdfium2 knows which structure each pointer is to, and looks at that in every call, which takes as long again.
    """
    return ctypes.CFUNCTYPE(result, *arguments)(ctypes.cast(function, POINTER).value or 0)


def address(pointer: Any) -> int:
    """Where a pointer of pypdfium2 points to."""
    return ctypes.cast(pointer, POINTER).value or 0


def rewritten(data: bytes, pages: Iterable[int], change: Change) -> bytes | None:
    """The file after `change` was called with each of these pages (from 0); None where PDFium cannot change it."""
    import pypdfium2

    target = io.BytesIO()
    try:
        with pypdfium2.PdfDocument(data) as document:
            for number in pages:
                page = document[number]
                change(document, page, number)
                page.gen_content()
                page.close()
            document.save(target)
    except pypdfium2.PdfiumError:
        return None
    return target.getvalue()
