"""The numbers that Word shows in front of paragraphs are in the Markdown."""

import pytest

from hpc_qa.documents.docx import read_docx
from tests.data.bad.word import W, package, part, relationships

HEADINGS = (("decimal", "%1"), ("decimal", "%1.%2"), ("decimal", "%1.%2.%3"))
LEGAL = (("lowerLetter", "(%1)"), ("decimal", "(%2)"), ("lowerRoman", "(%3)"))


def level(place: int, kind: str, text: str) -> str:
    written = f'<w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/>'
    return f'<w:lvl w:ilvl="{place}"><w:start w:val="1"/>{written}</w:lvl>'


def numbering(*lists: tuple[tuple[str, str], ...], nums: str = "") -> bytes:
    abstract = "".join(
        f'<w:abstractNum w:abstractNumId="{n}">{"".join(level(at, *each) for at, each in enumerate(levels))}'
        "</w:abstractNum>"
        for n, levels in enumerate(lists)
    )
    own = "".join(f'<w:num w:numId="{n + 1}"><w:abstractNumId w:val="{n}"/></w:num>' for n in range(len(lists)))
    return f'<w:numbering xmlns:w="{W}">{abstract}{own}{nums}</w:numbering>'.encode()


def styles() -> bytes:
    each = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/><w:pPr><w:numPr>'
        f'<w:ilvl w:val="{n - 1}"/><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
        for n in (1, 2, 3)
    )
    return f'<w:styles xmlns:w="{W}">{each}</w:styles>'.encode()


def item(text: str, place: int, number: int = 1) -> str:
    own = f'<w:numPr><w:ilvl w:val="{place}"/><w:numId w:val="{number}"/></w:numPr>'
    return f"<w:p><w:pPr>{own}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def heading(text: str, depth: int) -> str:
    return f'<w:p><w:pPr><w:pStyle w:val="Heading{depth}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'


def markdown(body: str, lists: bytes, names: bytes | None = None) -> str:
    named = [("word/styles.xml", names)] if names else []
    links = relationships("r8", "numbering", "numbering.xml").replace("</Relationships>", "")
    more = relationships("r9", "styles", "styles.xml").partition("><")[2] if names else "/Relationships>"
    rels = f"{links}<{more}".encode()
    document = package(part(body), ("word/numbering.xml", lists), ("word/_rels/document.xml.rels", rels), *named)
    found = read_docx(document, min_word_coverage=0.9)
    assert (found.structure, found.word_coverage) == (True, 1.0)
    return found.markdown


def test_headings_have_the_numbers_of_their_styles() -> None:
    body = heading("A", 1) + heading("B", 2) + heading("C", 3) + heading("D", 3) + heading("E", 1) + heading("F", 2)
    assert markdown(body, numbering(HEADINGS), styles()).split("\n\n") == [
        "# 1 A", "## 1.1 B", "### 1.1.1 C", "### 1.1.2 D", "# 2 E", "## 2.1 F\n",
    ]  # fmt: skip


def test_a_paragraph_of_a_rule_has_its_mark() -> None:
    body = item("A", 0) + item("B", 0) + item("C", 1) + item("D", 1) + item("E", 2) + item("F", 2) + item("G", 0)
    assert markdown(body, numbering(LEGAL)).split() == "(a) A (b) B (1) C (2) D (i) E (ii) F (c) G".split()


def test_items_in_a_row_stay_a_list_and_one_behind_other_text_keeps_its_number() -> None:
    body = item("A", 0) + item("B", 0) + "<w:p><w:r><w:t>Text.</w:t></w:r></w:p>" + item("C", 0)
    text = markdown(body, numbering((("decimal", "%1."),))).replace("\\", "")
    assert text == "1. A\n2. B\n\nText.\n\n3. C\n"


def test_bullets_stay_bullets() -> None:
    assert markdown(item("A", 0) + item("B", 0), numbering((("bullet", "\u2022"),))) == "- A\n- B\n"


@pytest.mark.parametrize(
    ("restart", "mark"),
    [("", "(c)"), ('<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride>', "(a)")],
)
def test_a_second_list_counts_on_unless_it_says_otherwise(restart: str, mark: str) -> None:
    second = f'<w:num w:numId="7"><w:abstractNumId w:val="0"/>{restart}</w:num>'
    text = markdown(item("A", 0) + item("B", 0) + item("C", 0, 7), numbering(LEGAL, nums=second))
    assert text.endswith(f"(b) B\n\n{mark} C\n")


def test_a_list_that_is_nowhere_and_list_0_give_no_mark() -> None:
    assert markdown(item("A", 0, 0), numbering(LEGAL)) == "A\n"
