"""What a document strikes through is no fact of it."""

import pytest

from hpc_qa.documents.docx import read_docx
from hpc_qa.documents.html import read_html
from hpc_qa.documents.text import read_markdown
from tests.data.bad.word import W, package, part


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("The fee is <del>30</del> <ins>25</ins> dollars.", "The fee is 25 dollars."),
        ("The <s>old</s> fee and <strike class='x'>no</strike> more.", "The fee and more."),
        ("<del>A <del>b</del> c</del>Stays.", "Stays."),
        ("Stays <span>with</span> <strong>all</strong>.", "Stays with **all**."),
        ("Never <s>closed.", "Never ~~closed.~~"),
    ],
)
def test_a_page_has_no_struck_text(html: str, text: str) -> None:
    assert read_html(f"<p>{html}</p>".encode(), min_word_coverage=0.9).markdown == text + "\n"


def test_whole_paragraphs_that_are_deleted_are_gone() -> None:
    html = b"<del><p>The fee is 30.</p></del><ins><p>The fee is 25.</p></ins>"
    assert read_html(html, min_word_coverage=0.9).markdown == "The fee is 25.\n"


def test_markdown_has_no_struck_text_but_in_code() -> None:
    source = b"The fee is <del>30</del> 25, `<del>x</del>` stays.\n"
    assert read_markdown(source).markdown == "The fee is  25, `<del>x</del>` stays.\n"


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ("<w:strike/>", "The fee is 25."),
        ("<w:dstrike/>", "The fee is 25."),
        ('<w:rStyle w:val="Gone"/>', "The fee is 25."),
        ('<w:strike w:val="0"/>', "The fee is 30 25."),
        ('<w:rStyle w:val="Gone"/><w:strike w:val="false"/>', "The fee is 30 25."),
    ],
)
def test_a_word_document_has_no_struck_text(properties: str, text: str) -> None:
    styles = (
        f'<w:styles xmlns:w="{W}"><w:style w:type="character" w:styleId="Gone"><w:rPr><w:strike/></w:rPr></w:style>'
        "</w:styles>"
    )
    body = part(f"<w:p>{run('The fee is ')}{run('30 ', properties)}{run('25.')}</w:p>")
    document = package(body, ("word/styles.xml", styles.encode()))
    assert read_docx(document, min_word_coverage=0.9).markdown == text + "\n"
