"""Letters that are set small and high, or low, in pages and Word documents: no number becomes another."""

import io
import zipfile

import pytest

from hpc_qa.documents.docx import read_docx
from hpc_qa.documents.html import read_html
from hpc_qa.documents.raised import set_apart
from hpc_qa.qa.facts import numbers


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("within 30<sup>1</sup> days", "within 30¹ days"),
        ("10<sup>6</sup> cells", "10⁶ cells"),
        ("a fee of $5.00<SUP class='x'>2</SUP>", "a fee of $5.00²"),
        ("30<sup><a href='#fn1'>1</a></sup> days", "30[1] days"),
        ('30<a id="r" href="#fn1"><sup>1</sup></a> days', "30[1] days"),
        ("30<sup class='reference'><a href='#cite-2'>[2]</a></sup> days", "30[2] days"),
        ("the 1<sup>st</sup> and n<sup>th</sup> day", "the 1st and nth day"),
        ("Acme<sup>TM</sup> and Bolt<sup>&reg;</sup>", "Acme™ and Bolt®"),
        ("x<sup>n-1</sup>, x<sup>max</sup>", "xⁿ⁻¹, x^(max)"),
        ("H<sub>2</sub>O and T<sub>max</sub>", "H₂O and T_(max)"),
        ("a<sup>b<sub>2</sub></sup>", "a^(b₂)"),
        ("5*<sup>*</sup> or 6<sup>†</sup>", "5\\** or 6†"),
        ("areas<sup>1, 2</sup> by", "areas¹,² by"),
        ("a <sup>unclosed", "a unclosed"),
    ],
)
def test_on_a_page(html, text):
    found = read_html(f"<html><body><p>{html} and more words here.</p></body></html>".encode(), min_word_coverage=0.9)
    assert found.structure
    assert found.markdown.strip().replace("\\", "") == f"{text} and more words here.".replace("\\", "")


def test_small_print_is_no_mark():
    small = "this is a long line of small print under the table of fees"
    assert f"fees {small} end" in " ".join(set_apart(f"fees<sup>{small}</sup>end").split())


def word_document(*runs: tuple[str, str]) -> bytes:
    """A paragraph of runs: (letters, vertAlign or nothing)."""
    w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    parts = "".join(
        f"<w:r>{f'<w:rPr><w:vertAlign w:val={chr(34)}{mark}{chr(34)}/></w:rPr>' if mark else ''}"
        f'<w:t xml:space="preserve">{letters}</w:t></w:r>'
        for letters, mark in runs
    )
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/></Types>'
    )
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    links = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{office}" Target="word/document.xml"/></Relationships>'
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as packed:
        packed.writestr("[Content_Types].xml", types)
        packed.writestr("_rels/.rels", links)
        packed.writestr("word/document.xml", f"<w:document {w}><w:body><w:p>{parts}</w:p></w:body></w:document>")
    return target.getvalue()


def test_in_a_word_document():
    data = word_document(
        ("Pay within 30", ""), ("1", "superscript"), (" days, the 1", ""), ("st", "superscript"), (" of 10", ""),
        ("6", "superscript"), (" H", ""), ("2", "subscript"), ("O units, and more.", "baseline"),
    )  # fmt: skip
    found = read_docx(data, min_word_coverage=0.97)
    assert (found.engine, found.word_coverage) == ("mammoth", 1.0)
    assert found.markdown.strip() == "Pay within 30¹ days, the 1st of 10⁶ H₂O units, and more."


def test_a_number_with_a_mark_is_still_the_number():
    assert numbers("Pay within 30¹ days")["30"] == 1
    assert numbers("10⁶ and 10^6") == {"10": 2, "6": 2}
    assert numbers("days¹") == {}


@pytest.mark.parametrize("hostile", ["<sup>" * 100_000, "<a href=x# " * 50_000, ("<sup>" + "x" * 299) * 3_000])
def test_a_hostile_source_ends(hostile):
    assert set_apart(hostile)
