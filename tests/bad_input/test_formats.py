"""Formats that are not read are refused by name, with what to do; wrong suffixes do not spoil right ones."""

import json
from pathlib import Path

import pytest

from hpc_qa.manifest.formats import unsupported
from tests.bad_input.conftest import TEXT, Call

FORMATS = {
    ".doc": "is Word, which is not read: save it as .docx",
    ".docm": "is Word, which is not read: save it as .docx",
    ".xlsx": "is Excel, which is not read: export it as PDF",
    ".xls": "is Excel, which is not read: export it as PDF",
    ".pptx": "is PowerPoint, which is not read: export it as PDF",
    ".ppt": "is PowerPoint, which is not read: export it as PDF",
    ".epub": "is an e-book, which is not read: convert it to HTML or PDF",
    ".mobi": "is an e-book, which is not read: convert it to HTML or PDF",
    ".rtf": "is RTF, which is not read: export it as PDF",
    ".odt": "is OpenDocument, which is not read: export it as PDF",
    ".pages": "is Pages, Numbers or Keynote, which is not read: export it as PDF",
    ".tex": "is TeX, which is not read: typeset it and take the PDF",
    ".ps": "is PostScript or DjVu, which is not read: export it as PDF",
    ".png": "is a picture, which is not read: recognise its text with OCR",
    ".jpg": "is a picture, which is not read: recognise its text with OCR",
    ".tiff": "is a picture, which is not read: recognise its text with OCR",
    ".tar": "is an archive, which is not read: unpack it, or pack its files as ZIP",
    ".gz": "is an archive, which is not read: unpack it, or pack its files as ZIP",
    ".7z": "is an archive, which is not read: unpack it, or pack its files as ZIP",
    ".rar": "is an archive, which is not read: unpack it, or pack its files as ZIP",
    ".zst": "is an archive, which is not read: unpack it, or pack its files as ZIP",
    ".json": "is JSON, which is not read: data and no document",
    ".jsonl": "is JSON, which is not read: data and no document",
    ".csv": "is a table, which is not read: data and no document",
    ".xml": "is XML, which is not read: convert it to HTML or text",
    ".eml": "is e-mail, which is not read: save it as text or PDF",
    ".mp4": "is sound or film, which is not read: write a transcript",
    ".qqq": "is not read: export it as PDF, DOCX, HTML or text",
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_format_that_is_not_read_is_named_with_what_to_do(project: Path, call: Call, suffix: str) -> None:
    for number in range(2):
        (project / "docs" / f"x{number}{suffix.upper()}").write_bytes(b"PK\x03\x04")
    code, out, err = call("manifest", "build", "docs", "-o", "m.jsonl", "--json")
    assert (code, json.loads(out)["documents"], json.loads(out)["unsupported"]) == (0, 1, {suffix: 2})
    assert f"2 x {suffix} {FORMATS[suffix]}" in err
    code, _, err = call("manifest", "build", f"docs/x0{suffix.upper()}", "-o", "other.jsonl")
    assert code == 2
    assert f"error: {suffix} {FORMATS[suffix]}" in err


def test_a_file_without_a_suffix_is_told_what_it_lacks() -> None:
    assert "report.txt for example" in unsupported("(none)")


def test_a_media_type_that_cannot_be_converted_fails_alone(project: Path, call: Call) -> None:
    assert call("manifest", "build", "docs", "-o", "m.jsonl")[0] == 0
    good = json.loads((project / "m.jsonl").read_text())
    lines = [good, good | {"doc_id": "other", "path": "../a.txt"[3:], "root": ".", "media_type": "application/zip"}]
    (project / "a.txt").write_text(TEXT)
    (project / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, err = call("convert", "config.yaml", "--json")
    assert (code, [row["reason"] for row in json.loads(out)]) == (0, [None, "unsupported"])
    assert err


def test_the_same_bytes_under_a_wrong_suffix_do_not_spoil_the_right_one(project: Path, call: Call) -> None:
    from tests.made_documents import one_page

    for name in ("a_report.txt", "b_report.pdf", "c_report.html"):
        (project / "docs" / name).write_bytes(one_page())
    assert call("manifest", "build", "docs", "-o", "m.jsonl")[0] == 0
    code, out, _ = call("convert", "config.yaml", "--json")
    reasons = {row["doc_id"].rpartition("-")[0]: row["reason"] for row in json.loads(out)}
    assert code == 0
    assert reasons == {"a": None, "a-report": "not_text", "b-report": None, "c-report": "not_text"}
