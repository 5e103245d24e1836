"""Bytes to clean text: plain text, Markdown and HTML."""

import pytest

from hpc_qa.documents.html import read_html
from hpc_qa.documents.text import read_markdown, read_text
from hpc_qa.errors import DocumentError


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("Café costs € 5.".encode(), "utf-8"),
        (b"\xef\xbb\xbf" + "Café costs € 5.".encode(), "utf-8-sig"),
        ("Café costs € 5.".encode("cp1252"), "cp1252"),
        ("Café costs € 5.".encode("utf-16"), "utf-16"),
    ],
)
def test_the_encoding_is_found_and_recorded(data: bytes, encoding: str) -> None:
    found = read_text(data)
    assert (found.markdown, found.encoding) == ("Café costs € 5.\n", encoding)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"a\0b", "not_text"),
        (b"\x01\x02\x03abc", "not_text"),
        (b"\xff\xfea", "not_text"),
    ],
)
def test_what_is_no_text_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_text(data)
    assert caught.value.reason == reason


def test_characters_that_hide_or_reorder_text_are_taken_out_and_reported() -> None:
    found = read_text("Vis\u200bible\U000e0041 \u202etext\u00a0here.\r\nﬁne".encode())
    assert found.markdown == "Visible text here.\nfine\n"
    assert found.removed_characters == 3
    assert found.suspicious_unicode


def test_underlined_titles_of_a_text_file_become_headings() -> None:
    text = "=====\nTitle\n=====\n\nPart\n----\nProse here.\n\nAnother\n-------\n\nDeep\n~~~~\n"
    assert read_text(text.encode()).markdown.splitlines()[:3] == ["# Title", "", "## Part"]
    assert read_text(text.encode()).markdown.count("\n## ") == 2
    assert "### Deep" in read_text(text.encode()).markdown


def test_examples_in_a_text_file_are_fenced_and_their_lines_are_no_headings() -> None:
    text = "Write::\n\n    Title\n    =====\n\nProse."
    assert read_text(text.encode()).markdown == "Write::\n\n```\n    Title\n    =====\n```\n\nProse.\n"


def test_markdown_loses_front_matter_comments_and_padding() -> None:
    text = "---\ntitle: x\n---\n# T\n<!-- no -->\n| a     | b |\n| ------ | --- |\n| 1     | 2 |\n"
    assert read_markdown(text.encode()).markdown == "# T\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"


PAGE = b"""<html><head><title>The  &amp; title</title><style>p{}</style></head><body><nav>Menu one</nav>
<h1>Top</h1><p>Some <a href="x">linked</a> a_b text.</p><table><tr><th>A<th>B<tr><td>1<td>2</table>
<div hidden>Not shown</div><script>alert(1)</script><footer>Imprint</footer></body></html>"""


def test_a_page_keeps_headings_tables_and_text_and_loses_what_surrounds_them() -> None:
    found = read_html(PAGE, min_word_coverage=0.9)
    assert found.markdown == "# Top\n\nSome linked a_b text.\n\n| A | B |\n| --- | --- |\n| 1 | 2 |\n"
    assert (found.title, found.engine, found.word_coverage) == ("The & title", "html-to-markdown", 1.0)


def test_a_page_names_its_own_encoding() -> None:
    page = '<meta charset="iso-8859-15"><p>5 €</p>'.encode("iso-8859-15")
    assert read_html(page, min_word_coverage=0.9).markdown == "5 €\n"


def test_text_that_the_converter_drops_silently_is_kept_without_structure() -> None:
    page = b"<p>Start</p>" + b"<div>" * 3_000 + b"deep words are here" + b"</div>" * 3_000
    found = read_html(page, min_word_coverage=0.9)
    assert "deep words are here" in found.markdown
    assert (found.engine, found.structure) == ("html.parser", False)
    assert found.word_coverage is not None
    assert found.word_coverage < 0.9
