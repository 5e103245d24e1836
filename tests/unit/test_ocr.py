"""OCR where its program is not there, and what of a page is drawn for it."""

from pathlib import Path

import pypdfium2
import pytest

from hpc_qa import manifest
from hpc_qa.campaign.known import Known
from hpc_qa.documents import ocr, pdf
from hpc_qa.documents.cache import DocumentCache, cache_of, converter_key
from hpc_qa.documents.convert import Conversion, convert_all
from hpc_qa.errors import DocumentError
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


def test_a_plan_that_leaves_conversion_to_a_job_array_counts_what_was_converted_without_ocr(
    without_tesseract: None, tmp_path: Path
) -> None:
    made.write_tokenizer(tmp_path / "model")
    (tmp_path / "scan.pdf").write_bytes(made.scan())
    (tmp_path / "good.txt").write_text("Some text is here.")
    entries = manifest.build([tmp_path / name for name in ("scan.pdf", "good.txt")], project=tmp_path).entries
    convert_all(entries, made.config(), project=tmp_path)
    config = with_ocr().model_copy(update={"executor": "slurm"})
    known = Known(config, tmp_path, cache_of(config, tmp_path), convert_first=True)
    for entry in entries:
        known(entry)
    to_convert = dict(zip((entry.path for entry in entries), known.to_convert, strict=True))
    assert [Path(path).name for path, size in to_convert.items() if size] == ["scan.pdf"]


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


SAYS_WHAT_IT_IS = """#!/bin/sh
case $1 in
  --version) echo tesseract 9.9; exit;;
  --list-langs) printf 'List of available languages in "/d" (1):\\neng\\n'; exit;;
esac
"""


def twice(folder: Path, what_it_does: str, documents: dict[str, bytes]) -> list[dict[str, Conversion]]:
    """Documents converted in two calls, by name, where tesseract does this with every page."""
    made.write_tokenizer(folder / "model")
    (folder / "tesseract").write_text(SAYS_WHAT_IT_IS + what_it_does)
    (folder / "tesseract").chmod(0o755)
    for name, data in documents.items():
        (folder / name).write_bytes(data)
    entries = manifest.build([folder / name for name in documents], project=folder).entries
    calls = [convert_all(entries, with_ocr(), project=folder) for _ in range(2)]
    return [{entry.path: one for entry, one in zip(entries, results, strict=True)} for results in calls]


def test_a_program_that_fails_is_no_page_without_text_and_the_document_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    documents = {"scan.pdf": made.scan(), "mixed.pdf": made.appended(made.manual(1), made.scan())}
    program = "echo first >&2; printf 'Error opening\\033 data file\\n\\n' >&2; exit 3"
    for one in twice(tmp_path, program, documents)[1].values():
        assert (one.status, one.reason, one.cached) == ("failed", "ocr_failed", False)
        assert "tesseract ended with status 3, Error opening data file; " in one.detail
        assert one.scanned_pages == 1


def test_some_pages_that_could_not_be_read_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    mixed = made.appended(made.appended(made.manual(1), made.scan()), made.scan())
    program = 'if (set -C; : > "$0.seen") 2>&-; then exit 1; fi; echo Words that were recognised'
    one = twice(tmp_path, program, {"mixed.pdf": mixed})[1]["mixed.pdf"]
    assert (one.status, one.cached, one.scanned_pages, one.ocr_pages) == ("ok", True, 2, 1)
    assert one.pages is not None
    assert one.detail == f"OCR failed on pages {one.pages - 1}: tesseract ended with status 1"


def test_a_program_that_was_killed_is_no_fault_of_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = 'if (set -C; : > "$0.seen") 2>&-; then kill -9 $$; fi; echo Words that were recognised'
    scans = {"scan.pdf": made.appended(made.scan(), made.scan())}
    killed, again = (call["scan.pdf"] for call in twice(tmp_path, program, scans))
    assert (killed.reason, again.status, again.cached) == ("ocr_failed", "ok", False)


def test_a_huge_page_is_drawn_with_fewer_dots() -> None:
    document = pypdfium2.PdfDocument(made.one_page().replace(b"[0 0 600 800]", b"[0 0 9e3 9e3]"))
    header, _, dots = ocr.picture_of(document[0]).partition(b" 255\n")
    width, height = map(int, header.split()[1:])
    assert width * height == len(dots) <= 1.01 * ocr.MAX_PIXELS


def test_of_two_pages_the_one_with_text_is_read_and_the_picture_is_named(tmp_path: Path) -> None:
    text = made.plain_pdf([line for line in made.SENTENCES.split(". ") for _ in range(2)])
    half = pdf.read_pdf(made.appended(text, made.scan()), max_pages=9, min_word_coverage=0.9)
    assert (half.scanned_pages, half.structure) == ([2], True)
    assert "fair hearing" in half.markdown
    short = made.plain_pdf(["Cover sheet"])
    with pytest.raises(DocumentError, match="needs_ocr"):
        pdf.read_pdf(made.appended(short, made.scan()), max_pages=9, min_word_coverage=0.9)
    with pytest.raises(DocumentError, match="needs_ocr"):
        pdf.read_pdf(made.appended(made.appended(text, made.scan()), made.scan()), max_pages=9, min_word_coverage=0.9)
