"""Pages that are pictures, read by Debian's Tesseract in the children that convert documents."""

import json
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.config import Config
from hpc_qa.documents import convert
from hpc_qa.documents.cache import DocumentCache, converter_key
from hpc_qa.documents.convert import Conversion, convert_all
from hpc_qa.documents.facts import Facts
from hpc_qa.documents.fidelity import coverage
from hpc_qa.documents.ocr import look_for
from tests import made_documents as made

pytestmark = pytest.mark.timeout(600)  # Tesseract may have to be installed
LINES = [
    "Chapter 7: Fair hearings",
    "",
    *(made.SENTENCES.replace(". ", ".\n") * 3).splitlines(),
]
PAGE = made.plain_pdf(LINES)


def settings(ocr: str, language: str = "eng") -> Config:
    config = made.config()
    documents = config.documents.model_copy(update={"ocr": ocr, "ocr_language": language})
    return config.model_copy(update={"documents": documents})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("scans"))
    made.write_tokenizer(folder / "model")
    (folder / "docs").mkdir()
    (folder / "docs" / "scan.pdf").write_bytes(made.scanned([PAGE, PAGE]))
    (folder / "docs" / "mixed.pdf").write_bytes(made.appended(made.manual(2), made.scanned([PAGE])))
    (folder / "docs" / "nothing.pdf").write_bytes(made.scan())
    return folder


def converted(project: Path, config: Config) -> dict[str, tuple[Conversion, Facts, str]]:
    """Each document by name: how it ended, its facts, and its Markdown."""
    entries = manifest.build([project / "docs"], project=project).entries
    cache = DocumentCache(project / "cache/documents", converter_key(config, project))
    found = {}
    for entry, one in zip(entries, convert_all(entries, config, project=project), strict=True):
        facts = cache.facts(entry.sha256, entry.media_type)
        assert facts is not None
        found[entry.path] = one, facts, one.markdown_path.read_text() if one.markdown_path else ""
    return found


@pytest.fixture(scope="module")
def read(project: Path) -> dict[str, tuple[Conversion, Facts, str]]:
    return converted(project, settings("auto"))


def test_a_scanned_page_is_read(read: dict[str, tuple[Conversion, Facts, str]]) -> None:
    conversion, facts, text = read["scan.pdf"]
    assert conversion.status == "ok", conversion.detail
    assert coverage(LINES * 2, text) > 0.95
    assert "42 CFR 435.916" in text
    assert (facts.scanned_pages, facts.ocr_pages) == ([1, 2], [1, 2])
    assert facts.versions["tesseract"] == look_for("eng").description


def test_of_a_mixed_document_the_pictures_alone_are_read_and_marked(
    read: dict[str, tuple[Conversion, Facts, str]],
) -> None:
    conversion, facts, text = read["mixed.pdf"]
    last = conversion.pages
    assert (facts.ocr_pages, facts.engine, facts.structure) == ([last], "liteparse", True)
    assert "Chapter 7: Fair hearings" in text
    assert text.count("# Limits of chapter") == 2
    assert conversion.markdown_path is not None
    pages = json.loads(conversion.markdown_path.with_name("pages.json").read_text())["pages"]
    assert [page["page"] for page in pages if page.get("ocr")] == [last]


def test_a_picture_without_words_is_empty(read: dict[str, tuple[Conversion, Facts, str]]) -> None:
    conversion = read["nothing.pdf"][0]
    assert (conversion.reason, "on which OCR found no text" in conversion.detail) == ("empty", True)


def test_without_ocr_they_are_counted_with_advice_and_kept_apart(project: Path) -> None:
    without = converted(project, settings("off"))
    conversion, facts, _ = without["scan.pdf"]
    assert (conversion.reason, conversion.pages, facts.scanned_pages) == ("needs_ocr", 2, [1, 2])
    assert "set documents.ocr to auto" in conversion.detail
    assert (without["mixed.pdf"][0].status, without["mixed.pdf"][1].ocr_pages) == ("ok", [])
    assert converter_key(settings("off"), project) != converter_key(settings("auto"), project)
    assert converter_key(settings("off", "deu"), project) == converter_key(settings("off"), project)


def test_a_language_that_is_not_installed_is_named_with_its_package(project: Path) -> None:
    conversion = converted(project, settings("auto", "chi_sim"))["scan.pdf"][0]
    assert conversion.reason == "needs_ocr"
    assert "tesseract does not know chi_sim: install tesseract-ocr-chi-sim (Debian)" in conversion.detail


def test_a_page_that_takes_too_long_ends_with_its_document(project: Path) -> None:
    config = settings("auto")
    short = config.documents.limits.model_copy(update={"timeout": "00:00:01"})
    slow = config.documents.model_copy(update={"limits": short})
    (project / "slow").mkdir()
    (project / "slow" / "long.pdf").write_bytes(made.scanned([PAGE] * 12))
    entries = manifest.build([project / "slow"], project=project).entries
    [ended] = convert_all(entries, config.model_copy(update={"documents": slow}), project=project)
    assert (ended.reason, "documents.limits.timeout" in ended.detail) == ("timeout", True)
    assert {"timeout"} <= convert.PASSING
