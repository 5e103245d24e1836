"""Settling documents, sampling chunks, cutting shards."""

from hpc_qa.campaign.shards import Converted, Work, cut, sample, settle
from hpc_qa.manifest import Entry


def entry(name: str, sha256: str | None = None) -> Entry:
    return Entry(
        doc_id=name, path=f"{name}.txt", root=".", sha256=sha256 or name * 8, bytes=10, media_type="text/plain",
        pages=None, size_class="small",
    )  # fmt: skip


GOOD = Converted("ok", None, 4, 400)


def test_the_second_copy_of_a_content_is_a_skipped_duplicate_of_the_first() -> None:
    open_entries, settled = settle([entry("a", "x"), entry("b", "x")], {"a": GOOD, "b": GOOD}, max_chunks=None)
    assert [e.doc_id for e in open_entries] == ["a"]
    assert [(s.doc_id, s.state, s.reason) for s in settled] == [("b", "skipped", "duplicate_of:a")]


def test_a_document_that_did_not_convert_is_failed_with_the_converters_reason() -> None:
    _, settled = settle([entry("a")], {"a": Converted("failed", "encrypted", 0, 0)}, max_chunks=None)
    assert [(s.state, s.reason) for s in settled] == [("failed", "encrypted")]


def test_documents_without_chunks_and_with_too_many_are_skipped_with_a_reason() -> None:
    converted = {"a": Converted("ok", None, 0, 0), "b": Converted("ok", None, 9, 900), "c": GOOD}
    open_entries, settled = settle([entry("a"), entry("b"), entry("c")], converted, max_chunks=8)
    assert [e.doc_id for e in open_entries] == ["c"]
    assert [s.reason for s in settled] == ["no_chunks", "too_many_chunks"]


def test_a_sample_is_the_same_for_the_same_seed_and_never_larger_than_asked() -> None:
    entries = [entry(name) for name in "abcd"]
    converted = dict.fromkeys("abcd", GOOD)
    first, again = sample(entries, converted, 7, seed=3), sample(entries, converted, 7, seed=3)
    assert first == again
    assert sum(len(indices) for indices in first.values()) == 7
    assert sample(entries, converted, 7, seed=4) != first


def test_a_sample_larger_than_the_corpus_takes_every_chunk() -> None:
    assert sample([entry("a")], {"a": GOOD}, 100, seed=0) == {"a": [0, 1, 2, 3]}


def test_the_longest_document_is_the_first_of_its_shard() -> None:
    [shard] = cut([Work("short", None, 1), Work("long", None, 100)], 1)
    assert [work.doc_id for work in shard.work] == ["long", "short"]


def test_there_are_never_more_shards_than_documents() -> None:
    assert len(cut([Work("a", None, 1), Work("b", None, 1)], 8)) == 2
    assert cut([], 8) == []
