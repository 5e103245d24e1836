"""What the gate found of each page reaches whoever converts, chooses chunks, and reads the facts."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from hpc_qa.cli.main import run
from hpc_qa.documents import pdf, screening
from hpc_qa.documents.extracted import Extracted
from hpc_qa.documents.ocr import Ocr, Recognised
from hpc_qa.documents.ruled import Page
from tests import made_documents as made

CONFIG = "name: t\nmanifest: m.jsonl\nexecutor: local\nqa: {chunk_size: 64}\nvllm:\n  model: model\n"
LINES = made.SENTENCES.replace(". ", ".\n").splitlines()
PAGE = made.plain_pdf(LINES)
Read = Callable[[list[str]], Extracted]


def turned() -> bytes:
    """A page whose lines stand askew, each at another angle: PDFium reads them, the converter does not."""
    target = io.BytesIO()
    drawing = canvas.Canvas(target, pagesize=A4)
    for index, line in enumerate(LINES * 3):
        drawing.saveState()
        drawing.translate(300, 400)
        drawing.rotate(17 + 23 * index)
        drawing.drawString(20, 0, line)
        drawing.restoreState()
    drawing.save()
    return target.getvalue()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Three pages of the same text, of which the converter made this."""

    def made_of(pages: list[str], ocr: Ocr | None = None) -> Extracted:
        monkeypatch.setattr(pdf, "_parse", lambda *_: [Page(page, 800.0, [], []) for page in pages])
        monkeypatch.setattr(pdf, "_mended", lambda _, parsed, __: [page.markdown for page in parsed])
        data = made.appended(made.appended(PAGE, made.plain_pdf(LINES[::-1])), PAGE)
        return pdf.read_pdf(data, max_pages=9, min_word_coverage=0.7, ocr=ocr)

    return made_of


GOOD = "\n".join(LINES)
TORN = "\n\n".join(sorted(GOOD.split()))


def test_a_page_that_lost_words_is_its_raw_text_and_one_that_is_only_torn_stays(read: Read) -> None:
    found = read([TORN, "Half is lost. " + " ".join(sorted(GOOD.split())[::3]), "# Copayments\n\n" + GOOD])
    assert (found.engine, found.structure) == ("liteparse", True)
    assert (found.low_pages, found.raw_pages) == ([1], [2])
    assert found.word_coverage is not None
    assert 0.7 <= found.word_coverage < 0.9
    assert found.markdown.count("A beneficiary may ask for a fair hearing within 90 days of the notice.") == 2
    assert "Half is lost" not in found.markdown


def test_a_page_without_words_is_filled_and_does_not_speak_against_the_others(read: Read) -> None:
    found = read([GOOD, "", GOOD])
    assert (found.structure, found.word_coverage, found.low_pages, found.raw_pages) == (True, 1.0, [], [2])


def test_a_document_that_lost_words_is_raw_text_and_says_how_much_was_kept(read: Read) -> None:
    for pages, kept in ((["", "", ""], 0.0), (["The State", "agency", "Medicaid"], 0.0)):
        found = read(pages)
        assert (found.engine, found.structure, found.low_pages, found.raw_pages) == ("pypdfium2", False, [], [])
        assert found.word_coverage == pytest.approx(kept, abs=0.1)
        assert found.markdown.count("A beneficiary may ask for a fair hearing") == 3


def test_pages_that_another_program_read_are_measured_against_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ocr = Ocr("eng", "tesseract", "", "5")
    monkeypatch.setattr(pdf, "read_pages", lambda _, numbers, __: Recognised(dict.fromkeys(numbers, GOOD)))
    scan = pdf.read_pdf(made.scan(), max_pages=9, min_word_coverage=0.9, ocr=ocr)
    assert (scan.ocr_pages, scan.word_coverage) == ([1], None)
    mixed = pdf.read_pdf(made.appended(PAGE, made.scan()), max_pages=9, min_word_coverage=0.9, ocr=ocr)
    assert (mixed.ocr_pages, mixed.word_coverage) == ([2], 1.0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    made.write_tokenizer(tmp_path / "model")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "turned.pdf").write_bytes(turned())
    (tmp_path / "docs" / "junk.pdf").write_bytes(b"junk\n" * 20 + made.manual(1))
    (tmp_path / "docs" / "torn.txt").write_bytes(("§ 5: " + made.SENTENCES).encode() * 9 + b"torn \xe2\x82 end.")
    (tmp_path / "docs" / "secret.pdf").write_bytes(made.encrypted())
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    assert run(["manifest", "build", "docs", "-o", "m.jsonl"]) == 0
    capsys.readouterr()
    return tmp_path


def test_convert_says_what_failed_the_gate_and_each_chunk_knows_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", "config.yaml", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = {row["doc_id"].rpartition("-")[0]: row for row in json.loads(out)}
    assert rows["turned"]["structure"] is False
    assert rows["turned"]["word_coverage"] < 0.9
    assert (rows["junk"]["repaired"], rows["junk"]["structure"], rows["junk"]["low_pages"]) == (True, True, 0)
    assert (rows["torn"]["undecodable"], rows["torn"]["low_pages"]) == (1, None)
    assert [rows["secret"][name] for name in ("structure", "low_pages", "raw_pages", "repaired")] == [None] * 4
    assert "fidelity: 1 documents without structure, 1 documents repaired, 1 places that could not be decoded" in err
    chunks = screening.read(Path(rows["turned"]["markdown_path"]).with_name("screening.jsonl"))
    assert {one.page_fidelity for one in chunks} == {"raw"}
    facts = json.loads(Path(rows["turned"]["markdown_path"]).with_name("facts.json").read_text())
    assert facts["page_fidelity"] == {"raw": len(chunks)}
    assert run(["convert", "config.yaml"]) == 0
    assert "structure" in capsys.readouterr().out
