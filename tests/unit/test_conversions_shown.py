"""What `convert` and `doctor` say of documents: hit rate, pages that are pictures, stages, OCR, converters."""

import json
from pathlib import Path

import pytest

from hpc_qa.campaign.document_checks import document_checks
from hpc_qa.cli.main import run
from hpc_qa.documents import converters
from hpc_qa.documents.stage_record import records
from tests import made_documents as made
from tests.unit.test_ocr import with_ocr

CONFIG = "name: t\nmanifest: m.jsonl\nexecutor: local\nvllm:\n  model: model\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    made.write_tokenizer(tmp_path / "model")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "scan.pdf").write_bytes(made.scan())
    (tmp_path / "docs" / "mixed.pdf").write_bytes(made.appended(made.manual(2), made.scan()))
    (tmp_path / "docs" / "letter.docx").write_bytes(made.letter())
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    assert run(["manifest", "build", "docs", "-o", "m.jsonl"]) == 0
    capsys.readouterr()
    return tmp_path


def test_convert_says_what_the_cache_spared_and_which_pages_are_pictures(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", "config.yaml", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = {row["doc_id"].rpartition("-")[0]: row for row in json.loads(out)}
    assert (rows["letter"]["status"], rows["letter"]["pages"], rows["letter"]["scanned_pages"]) == ("ok", None, 0)
    assert (rows["scan"]["reason"], rows["scan"]["pages"], rows["scan"]["scanned_pages"]) == ("needs_ocr", 1, 1)
    assert (rows["mixed"]["scanned_pages"], rows["mixed"]["ocr_pages"]) == (1, 0)
    assert "cache: 0 of 3 documents were there, hit rate 0.0 %" in err
    assert f"pages: 2 of {1 + rows['mixed']['pages']} are pictures, in 2 documents; 0 of them read by OCR" in err
    assert "try: documents.ocr: auto" in err
    assert "preprocessing: " in err
    assert run(["convert", "config.yaml"]) == 0
    assert "cache: 3 of 3 documents were there, hit rate 100.0 %" in capsys.readouterr().err
    assert [summary["cached"] for summary, *_ in records(project / "cache/documents")] == [0, 3]


def test_doctor_says_whether_pages_can_be_read_and_by_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    [without] = document_checks(None)
    assert (without.name, without.state) == ("ocr", "ok")
    [wanted] = document_checks(with_ocr())
    assert (wanted.state, wanted.text) == (
        "warn", "documents.ocr is auto, and there is no program tesseract; pages that are pictures stay without text"
    )  # fmt: skip
    assert "apt-get install tesseract-ocr" in (wanted.fix or "")
    ours = converters.SiteConverter("text/html", "m:f", "site-engine", "1.5")
    monkeypatch.setattr("hpc_qa.campaign.document_checks.registered", lambda: {"text/html": ours})
    assert [one.text for one in document_checks(None)][1:] == [
        "text/html is read by site-engine 1.5, a package of this environment"
    ]
