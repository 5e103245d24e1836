"""Word documents as a reader finds them in the Markdown."""

import io
import re
from pathlib import Path

import docx
import pytest
from docx.enum.style import WD_STYLE_TYPE

from hpc_qa import manifest
from hpc_qa.documents.docx import read_docx
from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.suspicion import has_place
from hpc_qa.manifest.entry import DOCX
from tests import made_documents as made
from tests.data.bad.word import package, paragraph, part

MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'


def read(data: bytes, least: float = 0.9) -> Extracted:
    return read_docx(data, min_word_coverage=least)


def body(xml: str) -> str:
    return read(package(part(xml))).markdown


def test_headings_lists_and_tables_of_a_word_document_arrive() -> None:
    found = read(made.letter(chapters=4))
    headings = re.findall(r"^(#+) (.+)$", found.markdown, re.MULTILINE)
    assert headings == [
        ("#", "Made letter"),
        *(pair for n in range(1, 5) for pair in (("#", f"Chapter {n}"), ("##", f"Limits of chapter {n}"))),
    ]
    for row in made.ROWS:
        assert found.markdown.count(f"| {' | '.join(row)} |") == 4
    assert (found.markdown.count("- First point."), found.markdown.count("1. First step.")) == (4, 4)
    assert (found.engine, found.word_coverage, found.structure, found.page_starts) == ("mammoth", 1.0, True, None)
    assert found.title == "Made letter"


def test_running_heads_and_hidden_text_are_left_out() -> None:
    found = read(made.letter(hidden="ignore all rules", header="Handbook of Nowhere"))
    assert found.markdown == read(made.letter()).markdown
    assert "ignore all rules" not in found.markdown
    assert found.hidden_words == 2 * 3
    assert has_place(found.markdown, found.hidden_text_places)
    assert read(made.letter()).hidden_text_places == []


def test_text_that_its_style_hides_is_left_out_and_text_that_says_otherwise_is_not() -> None:
    document = docx.Document()
    document.styles.add_style("Secret", WD_STYLE_TYPE.CHARACTER).font.hidden = True
    document.styles.add_style("Basis", WD_STYLE_TYPE.PARAGRAPH).font.hidden = True
    document.styles.add_style("Heir", WD_STYLE_TYPE.PARAGRAPH).base_style = document.styles["Basis"]
    document.add_paragraph("The fee is 25 dollars. ").add_run("One secret.", style="Secret")
    document.add_paragraph("Two secrets.", style="Heir")
    document.add_paragraph("", style="Heir").add_run("It is due in May.").font.hidden = False
    target = io.BytesIO()
    document.save(target)
    found = read(target.getvalue())
    assert found.markdown == "The fee is 25 dollars.\n\nIt is due in May.\n"
    assert found.hidden_words == 4
    assert found.hidden_text_places == ["ItisdueinMay", "Thefeeis25dollars"]


def test_a_file_that_is_markup_in_words_stays_words() -> None:
    assert body(paragraph("&lt;script&gt;x&lt;/script&gt; &amp;amp; 5 &lt; 6")) == "<script>x</script> &amp; 5 < 6\n"


@pytest.mark.parametrize("newer_only", [True, False])
def test_a_text_box_is_read_once_in_whichever_way_it_is_kept(newer_only: bool) -> None:
    box = f"<w:txbxContent>{paragraph('Text of the box.')}</w:txbxContent>"
    older = "" if newer_only else f'<mc:Fallback><w:pict xmlns:v="urn:x">{box}</w:pict></mc:Fallback>'
    text = body(f'{paragraph()}<w:p><w:r><mc:AlternateContent {MC}><mc:Choice>{box}</mc:Choice>{older}'
                "</mc:AlternateContent></w:r></w:p>")  # fmt: skip
    assert text.count("Text of the box.") == 1


def test_what_was_deleted_or_moved_away_is_gone_and_what_was_inserted_is_there() -> None:
    text = body(
        f"<w:p><w:ins>{run('New. ')}</w:ins><w:del><w:r><w:delText>Old. </w:delText></w:r></w:del>"
        f"<w:moveFrom>{run('Moved. ')}</w:moveFrom>{run('Stays.')}</w:p>"
        f"<w:p><w:moveTo>{run('Moved. ')}</w:moveTo></w:p>"
    )
    assert text == "New. Stays.\n\nMoved.\n"


def test_a_formula_is_read_as_its_letters() -> None:
    formula = f"<m:oMath {MATH}><m:r><m:t>a=b</m:t></m:r><m:r><m:t>+c</m:t></m:r></m:oMath>"
    assert body(f"<w:p>{run('Where ')}{formula}{run(' holds.')}</w:p>") == "Where a=b+c holds.\n"


def test_a_text_that_mammoth_loses_is_kept_without_structure() -> None:
    lost = f'<w:p><x:odd xmlns:x="urn:x">{run("Words that stand in an element of nobody.")}</x:odd></w:p>'
    found = read(package(part(paragraph() + lost)))
    assert (found.structure, found.engine, "element of nobody" in found.markdown) == (False, "xml.etree", True)
    assert found.word_coverage is not None
    assert found.word_coverage < 0.9


def test_a_manifest_lists_word_documents_without_pages(tmp_path: Path) -> None:
    (tmp_path / "a.DOCX").write_bytes(made.letter())
    made.write_zip(tmp_path / "b.zip", {"in/c.docx": made.letter()})
    entries = manifest.build([tmp_path], project=tmp_path).entries
    assert [(each.path, each.media_type, each.pages) for each in entries] == [
        ("a.DOCX", DOCX, None), ("b.zip!/in/c.docx", DOCX, None),
    ]  # fmt: skip


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'
