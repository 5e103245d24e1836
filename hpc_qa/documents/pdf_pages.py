"""Change pages of a PDF and write it anew, with PDFium."""

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

Change = Callable[["PdfDocument", "PdfPage", int], None]


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
