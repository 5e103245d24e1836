"""OCR where its program is not there, and what of a page is drawn for it."""

from pathlib import Path

import pypdfium2
import pytest

from hpc_qa import manifest
from hpc_qa.documents import ocr
from hpc_qa.documents.cache import DocumentCache, converter_key
from hpc_qa.documents.convert import convert_all
from tests import made_documents as made


@pytest.fixture
def without_tesseract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def with_ocr():
    config = made.config()
    return config.model_copy(update={"documents": config.documents.model_copy(update={"ocr": "auto"})})


def test_without_the_program_a_scan_says_what_to_install(without_tesseract: None, tmp_path: Path) -> None:
    made.write_tokenizer(tmp_path / "model")
    (tmp_path / "scan.pdf").write_bytes(made.scan())
    (tmp_path / "good.txt").write_text("Some text is here.")
    entries = manifest.build([tmp_path / "scan.pdf", tmp_path / "good.txt"], project=tmp_path).entries
    scan, good = convert_all(entries, with_ocr(), project=tmp_path)
    assert (scan.reason, good.status) == ("needs_ocr", "ok")
    assert "there is no program tesseract: install it (Debian: apt-get install tesseract-ocr)" in scan.detail


def test_a_program_that_appears_has_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.write_tokenizer(tmp_path / "model")
    monkeypatch.setenv("PATH", str(tmp_path))
    without = converter_key(with_ocr(), tmp_path)
    program = tmp_path / "tesseract"
    languages = 'List of available languages in "/d" (2):\\neng\\ndeu'
    program.write_text(f"#!/bin/sh\ncase $1 in --version) echo tesseract 9.9;; *) printf '{languages}\\n';; esac\n")
    program.chmod(0o755)
    assert ocr.look_for("eng+deu").description == "9.9 eng+deu"
    assert "does not know fra, spa" in ocr.look_for("fra+eng+spa").fault
    assert converter_key(with_ocr(), tmp_path) != without


def test_only_documents_with_pages_that_are_pictures_are_converted_again(
    without_tesseract: None, tmp_path: Path
) -> None:
    made.write_tokenizer(tmp_path / "model")
    (tmp_path / "scan.pdf").write_bytes(made.scan())
    (tmp_path / "text.pdf").write_bytes(made.one_page())
    (tmp_path / "good.txt").write_text("Some text is here.")
    entries = manifest.build([tmp_path / name for name in ("scan.pdf", "text.pdf", "good.txt")], project=tmp_path)
    before = {one.doc_id: one for one in convert_all(entries.entries, made.config(), project=tmp_path)}
    again = {one.doc_id: one for one in convert_all(entries.entries, with_ocr(), project=tmp_path)}
    fresh = [doc_id for doc_id, one in again.items() if not one.cached]
    assert [doc_id.partition("-")[0] for doc_id in fresh] == ["scan"]
    cache = DocumentCache(tmp_path / "cache/documents", converter_key(with_ocr(), tmp_path))
    for entry in entries.entries:
        if entry.doc_id not in fresh:
            old, new = (one[entry.doc_id].markdown_path for one in (before, again))
            assert old != new
            assert old is not None
            assert new is not None
            assert [path.read_bytes() for path in sorted(old.parent.iterdir())] == [
                path.read_bytes() for path in sorted(new.parent.iterdir())
            ]
            facts = cache.facts(entry.sha256, entry.media_type)
            assert facts is not None
            assert "tesseract" not in facts.versions  # it says what made it
    assert not list((tmp_path / "cache/documents/staging").iterdir())


def test_what_somebody_else_could_have_written_is_not_taken_over(without_tesseract: None, tmp_path: Path) -> None:
    made.write_tokenizer(tmp_path / "model")
    (tmp_path / "good.txt").write_text("Some text is here.")
    entries = manifest.build([tmp_path / "good.txt"], project=tmp_path).entries
    (before,) = convert_all(entries, made.config(), project=tmp_path)
    assert before.markdown_path is not None
    before.markdown_path.chmod(0o666)
    (again,) = convert_all(entries, with_ocr(), project=tmp_path)
    assert (again.status, again.cached) == ("ok", False)


def test_a_program_that_says_nothing_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "tesseract").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "tesseract").chmod(0o755)
    assert "does not say its version" in ocr.look_for("eng").fault


def test_a_huge_page_is_drawn_with_fewer_dots() -> None:
    document = pypdfium2.PdfDocument(made.one_page().replace(b"[0 0 600 800]", b"[0 0 9e3 9e3]"))
    header, _, dots = ocr.picture_of(document[0]).partition(b" 255\n")
    width, height = map(int, header.split()[1:])
    assert width * height == len(dots) <= 1.01 * ocr.MAX_PIXELS
