"""What a power cut leaves of the document cache is made again, and what is published is on disk before."""

import itertools
import threading
from pathlib import Path

import pytest

from hpc_qa import manifest
from hpc_qa.documents import publishing
from hpc_qa.documents.cache import DocumentCache, converter_key
from hpc_qa.documents.convert import convert_all
from hpc_qa.documents.facts import Facts, to_json
from hpc_qa.documents.publishing import Publisher
from hpc_qa.errors import StoreError
from tests import made_documents as made

SHA256 = "ab" * 32


NAMES = ("facts.json", "chunks.jsonl", "screening.jsonl", "document.md", "pages.json")
DAMAGE = list(itertools.product(NAMES, (None, 0, 10)))  # gone, or cut to so many bytes


def test_a_file_that_is_torn_or_gone_is_made_again(tmp_path: Path) -> None:
    made.write_tokenizer(tmp_path / "model")
    for number in range(len(DAMAGE)):
        (tmp_path / f"{number:02}.md").write_text(f"# Part {number}\n\n" + made.SENTENCES * 5)
    entries = manifest.build(sorted(tmp_path.glob("*.md")), project=tmp_path).entries
    whole = convert_all(entries, made.config(), project=tmp_path)
    cache = DocumentCache(tmp_path / "cache/documents", converter_key(made.config(), tmp_path))
    paths = [cache.folder(entry.sha256, entry.media_type) / name
             for entry, (name, _) in zip(entries, DAMAGE, strict=True)]  # fmt: skip
    before = [path.read_bytes() for path in paths]
    for path, data, (_, left) in zip(paths, before, DAMAGE, strict=True):
        if left is None:
            path.unlink()
        else:
            path.write_bytes(data[:left])
    again, then = (convert_all(entries, made.config(), project=tmp_path) for _ in range(2))
    assert [(one.status, one.cached) for one in again] == [("ok", False)] * len(DAMAGE)
    assert [(one.status, one.cached) for one in then] == [("ok", True)] * len(DAMAGE)
    assert [one.chunks for one in then] == [one.chunks for one in whole]
    for path, data in zip(paths, before, strict=True):
        assert path.name == "facts.json" or path.read_bytes() == data
    assert list((tmp_path / "cache/documents/staging").iterdir()) == []


def staged(cache: DocumentCache) -> Path:
    folder = cache.stage()
    (folder / "out").mkdir()
    (folder / "out" / "facts.json").write_text(to_json(Facts("failed", SHA256, "text/plain", 1, reason="empty")))
    return folder


def test_nothing_has_its_name_before_it_is_on_disk_and_what_waits_shares_one_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, seen = DocumentCache(tmp_path, "key"), list[str]()
    began, go_on = threading.Event(), threading.Event()

    def sync(_: Path) -> None:
        seen.append("sync")
        began.set()
        assert go_on.wait(60)

    def publish(_: Path, sha256: str, media_type: str, *, replace: bool) -> None:
        seen.append(sha256)

    monkeypatch.setattr(publishing, "_synced", sync)
    monkeypatch.setattr(cache, "publish", publish)
    with Publisher(cache) as publisher:
        publisher.add(staged(cache), "a", "text/plain", replace=False)
        assert began.wait(60)
        for name in "bcd":
            publisher.add(staged(cache), name, "text/plain", replace=False)
        go_on.set()
    assert seen == ["sync", "a", "sync", "b", "c", "d"]


def test_what_could_not_be_synced_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DocumentCache(tmp_path, "key")
    monkeypatch.setattr(publishing, "_synced", lambda _: StoreError("Input/output error"))
    with Publisher(cache) as publisher:
        published = publisher.add(staged(cache), SHA256, "text/plain", replace=False)
    with pytest.raises(StoreError, match="Input/output error"):
        published.result()
    assert cache.facts(SHA256, "text/plain") is None
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_folder_that_is_gone_is_named_when_it_is_synced(tmp_path: Path) -> None:
    cache = DocumentCache(tmp_path / "cache", "key")
    with Publisher(cache) as publisher:
        published = publisher.add(tmp_path / "nothing", SHA256, "text/plain", replace=False)
    with pytest.raises(StoreError, match="No such file or directory"):
        published.result()
