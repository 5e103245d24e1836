"""Documents through the real converters, in real children with limits."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.config import DocumentLimits
from hpc_qa.documents import chunks as chunk_json
from hpc_qa.documents.cache import DocumentCache, converter_key
from hpc_qa.documents.convert import Conversion, convert_all
from hpc_qa.documents.facts import Facts
from hpc_qa.errors import ConfigError, StoreError
from tests import made_documents as made

GOOD = made.manual()
LIMITS = DocumentLimits(timeout="00:01:00", memory_gib=0.5, max_pages=20)
DOCUMENTS = {
    "good.pdf": (GOOD, None),
    "same.pdf": (GOOD, None),
    "cut_end.pdf": (GOOD[:-600], None),
    "junk_first.pdf": (b"junk\n" * 20 + GOOD, None),
    "short.pdf": (made.plain_pdf(["One short line of text."]), None),
    "page.html": (b"<h1>Top</h1><p>Some text is here.</p>", None),
    "read.md": (b"# Top\n\nSome text is here.", None),
    "plain.txt": (b"Some text is here.", None),
    "encrypted.pdf": (made.encrypted(), "encrypted"),
    "scan.pdf": (made.scan(), "needs_ocr"),
    "blank.pdf": (made.blank(), "empty"),
    "zero.pdf": (b"", "empty"),
    "page.pdf": (b"<!DOCTYPE html><html><body>x</body></html>", "malformed"),
    "bytes.pdf": (bytes(range(256)) * 50, "malformed"),
    "torn.pdf": (b"%PDF-1.4\n" + bytes(range(256)) * 50, "malformed"),
    "bomb.pdf": (made.form_bomb(), "memory"),
    "pages.pdf": (made.manual(150), "too_many_pages"),
    "nul.txt": (b"a\0b", "not_text"),
    "headings.md": (b"# Only\n\n## Headings", "empty"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("project"))
    made.write_tokenizer(folder / "model")
    (folder / "docs").mkdir()
    for name, (data, _) in DOCUMENTS.items():
        (folder / "docs" / name).write_bytes(data)
    made.write_zip(folder / "docs" / "pack.zip", {"inner/member.md": b"# In\n\nText in a member."})
    return folder


@pytest.fixture(scope="module")
def entries(project: Path) -> list[manifest.Entry]:
    return manifest.build([project / "docs"], project=project).entries


@pytest.fixture(scope="module")
def conversions(project: Path, entries: list[manifest.Entry]) -> dict[str, Conversion]:
    seen: list[Conversion] = []
    results = convert_all(entries, made.config(limits=LIMITS), project=project, on_done=seen.append)
    assert sorted(each.doc_id for each in seen) == sorted(entry.doc_id for entry in entries)
    assert [each.doc_id for each in results] == [entry.doc_id for entry in entries]
    return {entry.path: result for entry, result in zip(entries, results, strict=True)}


def cache_of(project: Path) -> DocumentCache:
    return DocumentCache(project / "cache" / "documents", converter_key(made.config(limits=LIMITS), project))


def facts_of(project: Path, entries: list[manifest.Entry], path: str) -> Facts:
    facts = cache_of(project).facts(*next((e.sha256, e.media_type) for e in entries if e.path == path))
    assert facts is not None
    return facts


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_document_ends_ok_or_with_its_reason(path: str, conversions: dict[str, Conversion]) -> None:
    reason = DOCUMENTS[path][1]
    assert (conversions[path].status, conversions[path].reason) == ("failed" if reason else "ok", reason)


def test_a_failure_says_why_and_leaves_no_markdown(conversions: dict[str, Conversion]) -> None:
    for path, conversion in conversions.items():
        if conversion.status == "failed":
            assert conversion.detail, path
            assert conversion.markdown_path is conversion.chunks is conversion.tokens is None


def test_a_member_of_an_archive_is_converted(conversions: dict[str, Conversion]) -> None:
    path = conversions["pack.zip!/inner/member.md"].markdown_path
    assert path is not None
    assert path.read_text() == "# In\n\nText in a member.\n"


def test_equal_content_is_converted_once(conversions: dict[str, Conversion]) -> None:
    assert {conversions["good.pdf"].cached, conversions["same.pdf"].cached} == {False, True}
    assert conversions["good.pdf"].markdown_path == conversions["same.pdf"].markdown_path


def test_headings_rows_and_prose_of_a_manual_survive_and_its_running_lines_do_not(
    conversions: dict[str, Conversion],
) -> None:
    path = conversions["good.pdf"].markdown_path
    assert path is not None
    text = path.read_text()
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len([heading for heading in headings if "hapter" in heading]) >= 15  # of 16
    assert sum(text.count(f"| {' | '.join(row)} |") for row in made.ROWS) >= 0.85 * 8 * len(made.ROWS)
    assert "Handbook of Nowhere" not in text
    assert "42 CFR 435.916" in text


def test_pages_and_chunks_point_into_the_markdown(
    project: Path, entries: list[manifest.Entry], conversions: dict[str, Conversion]
) -> None:
    path, sha256 = conversions["good.pdf"].markdown_path, entries[[e.path for e in entries].index("good.pdf")].sha256
    assert path is not None
    text = cache_of(project).markdown(sha256, "application/pdf")
    pages = json.loads((path.parent / "pages.json").read_text())["pages"]
    assert [page["page"] for page in pages] == list(range(1, (conversions["good.pdf"].pages or 0) + 1))
    for chunk in cache_of(project).chunks(sha256, "application/pdf"):
        assert chunk.text == text[chunk.char_start : chunk.char_end]
        assert chunk.pages
        assert pages[chunk.pages[0] - 1]["char_start"] <= chunk.char_start
    assert json.loads((conversions["page.html"].markdown_path or path).with_name("pages.json").read_text()) == {
        "pages": None
    }


def test_the_facts_say_how_it_went(
    project: Path, entries: list[manifest.Entry], conversions: dict[str, Conversion]
) -> None:
    good, repaired = facts_of(project, entries, "good.pdf"), facts_of(project, entries, "junk_first.pdf")
    assert (good.engine, good.repaired, good.tables, good.low_pages) == ("liteparse", False, 8, [])
    assert good.word_coverage is not None
    assert good.word_coverage > 0.95
    assert good.tokens == conversions["good.pdf"].tokens
    assert (repaired.repaired, repaired.words) == (True, good.words)
    assert set(good.versions) >= {"liteparse", "tokenizers"}


def test_what_was_converted_is_not_converted_again(
    project: Path, entries: list[manifest.Entry], conversions: dict[str, Conversion]
) -> None:
    again = convert_all(entries, made.config(limits=LIMITS), project=project)
    assert all(each.cached for each in again)
    assert {each.doc_id: each.status for each in again} == {each.doc_id: each.status for each in conversions.values()}


def test_a_form_in_three_copies_is_text_though_all_its_lines_repeat(tmp_path: Path) -> None:
    made.write_tokenizer(tmp_path / "model")
    form = made.plain_pdf(made.SENTENCES.split(". "))
    (tmp_path / "form.pdf").write_bytes(made.appended(made.appended(form, form), form))
    entries = manifest.build([tmp_path / "form.pdf"], project=tmp_path).entries
    [result] = convert_all(entries, made.config(), project=tmp_path)
    assert result.status == "ok", result.detail
    assert result.markdown_path is not None
    assert result.markdown_path.read_text().count("42 CFR 435.916") == 3


def test_nothing_is_left_in_the_staging_folder(project: Path, conversions: dict[str, Conversion]) -> None:
    assert conversions
    assert os.listdir(project / "cache" / "documents" / "staging") == []


def test_other_limits_try_again_what_failed_by_a_limit(
    project: Path, entries: list[manifest.Entry], conversions: dict[str, Conversion], tmp_path: Path
) -> None:
    assert conversions["pages.pdf"].reason == "too_many_pages"
    wider = LIMITS.model_copy(update={"max_pages": 500})
    chosen = [entry for entry in entries if entry.path in ("pages.pdf", "scan.pdf")]
    results = convert_all(chosen, made.config(limits=wider), project=project)
    assert [(each.status, each.cached) for each in results] == [("ok", False), ("failed", True)]


def test_a_document_that_is_gone_changed_or_too_large_fails_alone(project: Path, tmp_path: Path) -> None:
    made.write_tokenizer(tmp_path / "model")
    for name in ("gone.txt", "changed.txt", "stays.txt"):
        (tmp_path / name).write_text(f"Text of {name} is here.")
    (tmp_path / "large.txt").write_text("Large text. " * 20_000)
    entries = manifest.build(
        [tmp_path / n for n in ("gone.txt", "changed.txt", "stays.txt", "large.txt")], project=tmp_path
    ).entries
    (tmp_path / "gone.txt").unlink()
    (tmp_path / "changed.txt").write_text("Text of ChAnGeD.txt is here.")
    results = convert_all(entries, made.config(limits=DocumentLimits(max_file_mb=0.1)), project=tmp_path)
    assert [each.reason for each in results] == ["not_found", "changed", None, "too_large"]
    known = [
        DocumentCache(tmp_path / "cache/documents", converter_key(made.config(), tmp_path)).facts(
            e.sha256, e.media_type
        )
        for e in entries
    ]
    assert [facts and facts.reason for facts in known] == [None, None, None, "too_large"]
    assert known[2] is not None
    assert known[0] is known[1] is None


def test_a_document_that_takes_too_long_is_killed_and_tried_again_next_time(tmp_path: Path) -> None:
    made.write_tokenizer(tmp_path / "model")
    (tmp_path / "slow.md").write_text("a. " * 1_500_000)
    (tmp_path / "quick.md").write_text("Quick text is here.")
    entries = manifest.build([tmp_path / "slow.md", tmp_path / "quick.md"], project=tmp_path).entries
    config = made.config(limits=DocumentLimits(timeout="00:00:02"), processes=1)
    slow, quick = convert_all(entries, config, project=tmp_path)
    assert (slow.reason, quick.status) == ("timeout", "ok")
    assert (
        DocumentCache(tmp_path / "cache/documents", converter_key(config, tmp_path)).facts(
            entries[0].sha256, "text/markdown"
        )
        is None
    )


def test_a_missing_tokenizer_is_a_fault_of_the_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.json does not exist"):
        convert_all([], made.config(), project=tmp_path)


def test_the_key_changes_with_what_the_chunks_depend_on(project: Path, tmp_path: Path) -> None:
    base = converter_key(made.config(200), project)
    assert base == converter_key(made.config(200, DocumentLimits(timeout="00:00:07")), project)
    assert base != converter_key(made.config(201), project)
    assert base != converter_key(made.config(200, DocumentLimits(min_word_coverage=0.5)), project)


def test_a_damaged_cache_entry_is_a_store_error_and_no_wrong_answer(tmp_path: Path) -> None:
    cache = DocumentCache(tmp_path, "key")
    folder = cache.folder("ab" * 32, "text/plain")
    folder.mkdir(parents=True)
    (folder / "facts.json").write_text(
        '{"status": "ok", "sha256": "x", "media_type": "m", "size_bytes": 1, "chunks": 2}'
    )
    chunk = chunk_json.Chunk("id", 0, "Text.", (), None, 0, 5, 2, (chunk_json.Sentence(1, 0, 5),))
    (folder / "chunks.jsonl").write_text(chunk_json.to_json(chunk) + "\n")
    with pytest.raises(StoreError, match="1 chunk,"):
        cache.chunks("ab" * 32, "text/plain")
    (folder / "facts.json").write_text("{torn")
    assert cache.facts("ab" * 32, "text/plain") is None


def test_of_two_that_publish_the_same_the_first_wins(tmp_path: Path) -> None:
    cache = DocumentCache(tmp_path, "key")
    facts = Facts("failed", "ab" * 32, "text/plain", 1, reason="empty")
    for detail in ("first", "second"):
        staged = cache.stage()
        (staged / "facts.json").write_text(
            json.dumps({"status": "failed", "sha256": "x", "media_type": "m", "size_bytes": 1, "detail": detail})
        )
        cache.publish(staged, facts.sha256, facts.media_type)
    found = cache.facts(facts.sha256, facts.media_type)
    assert found is not None
    assert found == replace(found, detail="first")
    assert os.listdir(tmp_path / "staging") == []
