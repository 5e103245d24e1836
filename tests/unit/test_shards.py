"""Settling documents, sampling chunks, numbering shards."""

from collections.abc import Callable

from hpc_qa.campaign.schedule import Pile
from hpc_qa.campaign.shards import Converted, Settled, number, predicted, sample, settle
from hpc_qa.manifest import Entry


def entry(name: str, sha256: str | None = None) -> Entry:
    return Entry(
        doc_id=name, path=f"{name}.txt", root=".", sha256=sha256 or name * 64, bytes=10, media_type="text/plain",
        pages=None, size_class="small",
    )  # fmt: skip


GOOD = Converted("ok", None, 4, 400)


def known(**converted: Converted) -> Callable[[Entry], Converted]:
    return lambda entry: converted.get(entry.doc_id, GOOD)


def settled_of(
    entries: list[Entry], converted: Callable[[Entry], Converted], max_chunks: int | None = None
) -> tuple[list[str], list[Settled]]:
    """The documents that are left to work on, and the others."""
    settled: list[Settled] = []
    return [doc_id for doc_id, _ in settle(entries, converted, settled, max_chunks=max_chunks)], settled


def test_the_second_copy_of_a_content_is_a_skipped_duplicate_of_the_first() -> None:
    left, settled = settled_of([entry("a", "c0ffee"), entry("b", "c0ffee"), entry("c", "0c0ffe")], known())
    assert left == ["a", "c"]
    assert [(s.doc_id, s.state, s.reason) for s in settled] == [("b", "skipped", "duplicate_of:a")]


def test_a_document_that_did_not_convert_is_failed_with_the_converters_reason() -> None:
    _, settled = settled_of([entry("a")], known(a=Converted("failed", "encrypted", 0, 0)))
    assert [(s.state, s.reason) for s in settled] == [("failed", "encrypted")]


def test_documents_without_chunks_and_with_too_many_are_skipped_with_a_reason() -> None:
    converted = known(a=Converted("ok", None, 0, 0), b=Converted("ok", None, 9, 900))
    left, settled = settled_of([entry("a"), entry("b"), entry("c")], converted, max_chunks=8)
    assert left == ["c"]
    assert [s.reason for s in settled] == ["no_chunks", "too_many_chunks"]


def test_a_document_that_is_not_converted_has_the_chunks_that_its_tokens_fill() -> None:
    assert predicted(3_000, 1_500) == Converted("ok", None, 2, 3_000)
    assert predicted(3_001, 1_500).chunks == 3
    assert predicted(0, 1_500).chunks == 0


def test_a_sample_is_the_same_for_the_same_seed_and_never_larger_than_asked() -> None:
    documents = dict.fromkeys("abcd", GOOD)
    first, again = sample(documents, 7, seed=3), sample(documents, 7, seed=3)
    assert first == again
    assert sum(len(indices) for indices in first.values()) == 7
    assert sample(documents, 7, seed=4) != first


def test_a_sample_larger_than_the_corpus_takes_every_chunk() -> None:
    assert sample({"a": GOOD}, 100, seed=0) == {"a": [0, 1, 2, 3]}


def test_a_shard_names_its_documents_its_sampled_chunks_and_its_tokens() -> None:
    piles = [Pile(["a"], 100), Pile(["b", "c"], 23)]
    [first, second] = number(piles, {"a": [0], "b": [1, 2], "c": [3]})
    assert first.to_json() == {"index": 0, "documents": ["a"], "chunks": {"a": [0]}, "predicted_tokens": 100}
    assert second.to_json() == {
        "index": 1, "documents": ["b", "c"], "chunks": {"b": [1, 2], "c": [3]}, "predicted_tokens": 23,
    }  # fmt: skip
    assert number(piles, None)[0].to_json()["chunks"] == {}
