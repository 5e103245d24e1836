"""A raised or lowered character never becomes part of the number in front of it."""

import pytest

from hpc_qa.documents.docx import read_docx
from hpc_qa.documents.html import read_html
from hpc_qa.documents.sentences import sentence_spans
from hpc_qa.documents.text import read_markdown
from hpc_qa.qa.facts import numbers
from hpc_qa.qa.markup import plain
from tests.data.bad.word import W, package, part, relationships


def page(html: str) -> str:
    return read_html(f"<body>{html}</body>".encode(), min_word_coverage=0.9).markdown


def run(text: str, align: str = "") -> str:
    properties = f'<w:rPr><w:vertAlign w:val="{align}"/></w:rPr>' if align else ""
    return f'<w:r>{properties}<w:t xml:space="preserve">{text}</w:t></w:r>'


def word(*runs: str) -> str:
    return read_docx(package(part(f"<w:p>{''.join(runs)}</w:p>")), min_word_coverage=0.9).markdown


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("30<sup>1</sup>", "30¹"),
        ("10<sup>6</sup> units", "10⁶ units"),
        ("10<sup class='e'>-6</sup>", "10⁻⁶"),
        ("10<sup>\N{MINUS SIGN}6</sup>", "10⁻⁶"),
        ("H<sub>2</sub>O", "H₂O"),
        ("x<sup>a b</sup>", "x^(a b)"),
        ("t<SUB>max</SUB>", "t_(max)"),
        ("5<sup><b>2</b></sup>", "5²"),
        ("2<sup>3<sup>2</sup></sup>", "2^(3²)"),
        ("1<sup>st</sup>, 2<sup>nd</sup>, 3<sup>rd</sup>, 4<sup>th</sup>", "1st, 2nd, 3rd, 4th"),
        ("Name<sup>TM</sup> Other<sup>®</sup>", "Name™ Other®"),
        ('30<sup><a href="#fn1">1</a></sup>', "30[1]"),
        ('30<a href="page.html#fn1" id="r"><sup>[1]</sup></a>', "30[1]"),
        ('30<sup id="x">[<a href="#fn1">1</a>]</sup>', "30[1]"),
        ('area<sup><a href="https://example.org/">2</a></sup>', "area²"),
        ("30<sup>1", "30^1"),  # never closed: where it ends is not known
    ],
)
def test_a_page_keeps_what_is_raised_apart(html: str, text: str) -> None:
    assert page(f"<p>{html}</p>") == text + "\n"


def test_a_raised_character_stays_apart_when_a_page_comes_out_without_structure() -> None:
    found = read_html(b"<p>A limit of 10<sup>6</sup> units.</p>", min_word_coverage=1.1)
    assert (found.structure, found.markdown) == (False, "A limit of 10⁶ units.\n")


def test_markdown_keeps_what_is_raised_apart_but_in_code() -> None:
    source = b"It is 10<sup>6</sup> units, `10<sup>6</sup> of x`.\n\n```\n10<sup>6</sup>\n```\n"
    assert read_markdown(source).markdown == ("It is 10⁶ units, `10<sup>6</sup> of x`.\n\n```\n10<sup>6</sup>\n```\n")


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ((run("30"), run("1", "superscript")), "30¹"),
        ((run("10"), run("1", "superscript"), run("2", "superscript"), run(" a")), "10¹² a"),
        ((run("x"), run("a", "superscript"), run("b", "superscript")), "x^(ab)"),
        ((run("CO"), run("2", "subscript")), "CO₂"),
        ((run("1"), run("st", "superscript")), "1st"),
        ((run("30"), run("1", "baseline")), "301"),
    ],
)
def test_a_word_document_keeps_what_is_raised_apart(runs: tuple[str, ...], text: str) -> None:
    assert word(*runs) == text + "\n"


def test_the_reference_to_a_note_of_a_word_document_stands_in_brackets() -> None:
    note = f'<w:footnotes xmlns:w="{W}"><w:footnote w:id="2"><w:p>{run("Since May.")}</w:p></w:footnote></w:footnotes>'
    reference = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:footnoteReference w:id="2"/></w:r>'
    document = package(
        part(f"<w:p>{run('The fee is 30')}{reference}</w:p>"),
        ("word/footnotes.xml", note.encode()),
        ("word/_rels/document.xml.rels", relationships("r9", "footnotes", "footnotes.xml").encode()),
    )
    text = read_docx(document, min_word_coverage=0.5).markdown
    assert text.startswith("The fee is 30[1]\n")
    assert "Since May." in text


def test_a_word_style_that_raises_its_text_does_so_here() -> None:
    styles = (
        f'<w:styles xmlns:w="{W}"><w:style w:type="character" w:styleId="Power">'
        '<w:rPr><w:vertAlign w:val="superscript"/></w:rPr></w:style></w:styles>'
    )
    raised = '<w:r><w:rPr><w:rStyle w:val="Power"/></w:rPr><w:t>6</w:t></w:r>'
    document = package(part(f"<w:p>{run('10')}{raised}</w:p>"), ("word/styles.xml", styles.encode()))
    assert read_docx(document, min_word_coverage=0.9).markdown == "10⁶\n"


def test_a_number_with_a_mark_or_a_power_is_still_the_number() -> None:
    assert numbers("It is 10⁶ units and 30¹ days, CO₂.") == numbers("It is 10^6 units and 30^1 days, CO2.")
    assert numbers("Pay within 30¹ days")["30"] == 1
    assert numbers("days¹") == {}
    assert plain("It is 10⁶ units, x^(ab) and t_(max) or y_(low).") == "It is 10⁶ units, x^(ab) and t_(max) or y_(low)."


@pytest.mark.parametrize("mark", ["3", "³", "¹²", "[3]"])
def test_a_sentence_ends_behind_the_mark_of_its_footnote_and_is_said_without_it(mark: str) -> None:
    text = f"He follows the rule.{mark} The fee is due."
    spans = sentence_spans("paragraph", text, 0, len(text))
    assert [plain(text[slice(*span)]) for span in spans] == ["He follows the rule.", "The fee is due."]
