"""Documents as large as the limits allow, under the limits of the defaults."""

import io
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from hpc_qa import manifest
from hpc_qa.config import DocumentLimits
from hpc_qa.documents.convert import convert_all
from hpc_qa.documents.stage_record import StageRecord
from tests import made_documents as made

WORDS = made.SENTENCES.split()
PAGES = 10_000


def large_pdf(pages: int) -> bytes:
    """So many pages of about 220 words."""
    target = io.BytesIO()
    drawing = canvas.Canvas(target, pagesize=A4, pageCompression=1)
    for page in range(pages):
        for line in range(20):
            place = page * 7 + line * 3
            text = " ".join(WORDS[(place + offset) % len(WORDS)] for offset in range(10))
            drawing.drawString(72, 760 - 34 * line, f"{text} {page * 20 + line}")
        drawing.showPage()
    drawing.save()
    return target.getvalue()


@pytest.mark.long
@pytest.mark.covers("documents/pdf.py", "documents/fidelity.py", "documents/packing.py")
@pytest.mark.timeout(1200)
def test_a_pdf_of_10_000_pages_is_converted_in_the_memory_that_a_document_has(tmp_path: Path) -> None:
    made.write_tokenizer(tmp_path / "model")
    (tmp_path / "large.pdf").write_bytes(large_pdf(PAGES))
    entries = manifest.build([tmp_path / "large.pdf"], project=tmp_path).entries
    record = StageRecord()
    limits = DocumentLimits(timeout="00:15:00")  # of a busy machine; pages and memory are those of the defaults
    [result] = convert_all(entries, made.config(1500, limits), project=tmp_path, record=record)
    assert (result.reason, result.pages) == (None, PAGES), result.detail
    assert result.word_coverage is not None
    assert result.word_coverage > 0.97
    peaks = [usage.memory_peak_bytes or 0 for usage in record.documents[0].stages.values()]
    assert max(peaks) < limits.memory_gib * 2**30
