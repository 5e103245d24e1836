"""Digits that a PDF sets high: marks of footnotes and powers stay apart from the number or word before them."""

import io

import pypdfium2
import pytest
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

from hpc_qa.documents.pdf import read_pdf
from hpc_qa.documents.raised_pdf import Mark, raised_on, with_marks

STYLE = getSampleStyleSheet()["Normal"]


def made(*paragraphs: str, table: list[list[str]] | None = None) -> bytes:
    target = io.BytesIO()
    parts = [Paragraph(text, STYLE) for text in paragraphs]
    if table:
        parts.append(Table([[Paragraph(cell, STYLE) for cell in row] for row in table]))
    SimpleDocTemplate(target).build(parts)
    return target.getvalue()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("filed within 30<super>1</super> days of the notice", "filed within 30¹ days of the notice"),
        ("of 10<super>6</super> cells, 2<super>31</super> values", "of 10⁶ cells, 2³¹ values"),
        ("cost $5.00<super>2</super> each", "cost $5.00² each"),
        ("all areas<super>12</super> by law", "all areas¹² by law"),
        ("see the rule.<super>3</super> The fee is due", "see the rule.³ The fee is due"),
        ("at 10<super>-3</super> of it", "at 10⁻³ of it"),
        ("the 1<super>st</super> of 301 days, CMS-64, 5-3 and 1,000", "the 1st of 301 days, CMS-64, 5-3 and 1,000"),
        ("30<super>1</super> and 301 and 30<super>1</super> days", "30¹ and 301 and 30¹ days"),
    ],
)
def test_raised_digits_are_set_apart(source, text):
    data = made(f"The claim and its form: {source}, as the manual of the agency says.")
    found = read_pdf(data, max_pages=10, min_word_coverage=0.97)
    assert text in " ".join(found.markdown.split())
    assert (found.engine, found.word_coverage) == ("liteparse", 1.0)


def test_in_a_table_too():
    rows = [["Service", "Fee"], ["Visit", "$25<super>1</super>"], ["Test", "$251"], ["Stay", "$40<super>2</super>"]]
    data = made("The fees of the plan are in this table, which every provider has to follow.", table=rows)
    text = read_pdf(data, max_pages=10, min_word_coverage=0.97).markdown
    assert "$25¹" in text
    assert "$251" in text
    assert "$40²" in text
    assert "$402" not in text


def test_the_raw_text_of_a_page_has_them_as_well():
    page = pypdfium2.PdfDocument(made("It has 30<super>1</super> days."))[0].get_textpage()
    text, marks = raised_on(page, page.get_text_range())
    assert "30¹" in text
    assert marks == [Mark("It has 30", "1")]


def test_a_mark_whose_place_is_not_found_changes_nothing():
    assert with_marks("Other words 31 here.", [Mark("It has 30", "1")]) == "Other words 31 here."
    assert with_marks("It **has** 30 1 days", [Mark("It has 30", "1")]) == "It **has** 30¹ days"
