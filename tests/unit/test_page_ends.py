"""A word that a page end divides is one word in the Markdown."""

import io

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from hpc_qa.documents.pdf import read_pdf


def two_pages(last: str, first: str) -> bytes:
    target = io.BytesIO()
    drawing = canvas.Canvas(target, pagesize=A4)
    rules = ["A member may ask for a review of the claim.", "The long list names one term of each rule."]
    for lines in ([*rules, *rules, last], [first, *rules]):
        for index, line in enumerate(lines):
            drawing.drawString(72, 760 - 14 * index, line)
        drawing.showPage()
    drawing.save()
    return target.getvalue()


@pytest.mark.parametrize(
    ("last", "first", "whole"),
    [
        ("The agency sends the infor-", "mation within ten days.", "sends the information within"),
        ("The agency pays for a long-", "term stay of ten days.", "long-\n\nterm"),
        ("The agency pays for all stays.", "The stay is short.", "stays.\n\nThe"),
    ],
)
def test_a_word_is_put_together_over_a_page_end(last: str, first: str, whole: str) -> None:
    found = read_pdf(two_pages(last, first), max_pages=9, min_word_coverage=0.9)
    assert whole in found.markdown
    assert found.page_starts is not None
    assert found.markdown[found.page_starts[1] :].startswith(first)
