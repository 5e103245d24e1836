"""What a converter leaves out of a page is put back; headers and footers are not, and no content is taken for one."""

import io

import pytest
from reportlab.pdfgen import canvas

from hpc_qa.documents.fidelity import RunningLines, running_lines, without_running_lines
from hpc_qa.documents.lost_lines import with_lost_lines
from hpc_qa.documents.pdf import read_pdf

NOTHING = RunningLines(frozenset(), {}, {})
PAGE = "Rates of the plan\nA visit costs 5 dollars.\nA stay costs 90 dollars.\nA test costs 7 dollars.\n"


@pytest.mark.parametrize(
    ("markdown", "whole"),
    [
        (
            "# Rates of the plan\n\nA visit costs 5 dollars. A test costs 7 dollars.\n",
            "# Rates of the plan\n\nA visit costs 5 dollars. A test costs 7 dollars.\n\nA stay costs 90 dollars.\n\n",
        ),
        (
            "# Rates of the plan\n\nA visit costs 5 dollars.\n\nA test costs 7 dollars.\n",
            "# Rates of the plan\n\nA visit costs 5 dollars.\n\nA stay costs 90 dollars.\n\nA test costs 7 dollars.\n",
        ),
        (
            "| Rates of the plan |\n| --- |\n| A visit costs 5 dollars. |\n| A test costs 7 dollars. |\n\nMore.",
            (
                "| Rates of the plan |\n| --- |\n| A visit costs 5 dollars. |\n| A test costs 7 dollars. |\n\n"
                "A stay costs 90 dollars.\n\nMore."
            ),
        ),
        ("A visit costs 5 dollars. A stay costs 90 dollars. A test costs 7 dollars.", None),
    ],
)
def test_a_line_is_put_back_where_it_stood(markdown, whole):
    body = PAGE if whole else PAGE.partition("\n")[2]
    assert with_lost_lines(markdown, body, 1, NOTHING) == (whole or markdown)


def test_lines_at_the_beginning_and_several_in_a_row_keep_their_order():
    found = with_lost_lines("A test costs 7 dollars.", PAGE, 1, NOTHING)
    assert found.split("\n\n") == PAGE.strip().split("\n")


def test_the_number_of_a_page_stays_away():
    body = "Body text is here."
    assert with_lost_lines(body, f"Page 1 of 2\n{body}\n- 12 -", 1, NOTHING) == body


def test_a_word_that_a_line_end_divides_is_no_lost_line():
    raw = "The infor-\nmation is here.\n"
    assert with_lost_lines("The information is here.", raw, 1, NOTHING) == "The information is here."


def sheets(pages: int, header: str | None, lines: list[str]) -> bytes:
    """One-page sheets whose lines differ in their numbers."""
    target = io.BytesIO()
    sheet = canvas.Canvas(target)
    for page in range(pages):
        if header:
            sheet.drawString(72, 810, header)
            sheet.drawString(72, 30, f"Page {page + 1} of {pages}")
        for number, line in enumerate(lines):
            sheet.drawString(72, 760 - 24 * number, line.format(n=page + 1, other=(page * 37) % 91 + 9))
        sheet.showPage()
    sheet.save()
    return target.getvalue()


LINES = [
    "Rate sheet of region {other}", "A day in a nursing facility costs {other} dollars",
    "The rate of region {n} is {other} dollars", "It is subject to the approval of the agency.",
    *(f"Rule {letter} of this sheet says that form {letter}-{{other}} is due" for letter in "ABCDEFGH"),
    "A visit is paid with {other} dollars at most",
]  # fmt: skip


@pytest.mark.parametrize("header", [None, "Manual of Fees of the Agency"])
def test_sheets_that_differ_in_their_numbers_alone_keep_every_line(header):
    found = read_pdf(sheets(20, header, LINES), max_pages=100, min_word_coverage=0.97)
    text = " ".join(found.markdown.split())
    for page in range(20):
        for line in LINES:
            if "{" in line:
                assert line.format(n=page + 1, other=(page * 37) % 91 + 9) in text
    assert "Page 7 of 20" not in text


def test_a_number_that_counts_with_the_pages_makes_a_footer_only_beside_numbers_that_stay():
    footers = running_lines([f"Body {page * 3} here\nPage {page} of 9" for page in range(1, 10)])
    assert footers.holds("Page 4 of 9", 4)
    assert not footers.holds("Page 5 of 9", 4)
    rates = running_lines([f"Rate of region {page}: {page * 7 % 5} dollars" for page in range(1, 10)])
    assert not rates.holds("Rate of region 4: 3 dollars", 4)


def test_a_title_on_a_fifth_of_the_pages_stays_once():
    pages = [
        f"Chapter on the fees of {'hospitals' if page < 4 else f'service{chr(97 + page)}'} now\nBody {page}"
        for page in range(15)
    ]
    running = running_lines(pages)
    left = [without_running_lines(text, place, running) for place, text in enumerate(pages, start=1)]
    assert [text.startswith("Chapter on the fees of hospitals") for text in left[:5]] == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert sum("Chapter" in text for text in left) == 12
