"""The funnel of chunks from plan.json and records, and what verify holds against it."""

from collections import Counter
from typing import Any

from hpc_qa.campaign.chunk_funnel import ChunkFunnel, plan_faults, record_faults
from hpc_qa.store.merge import ChunkDone, Merged


def plan(**documents: Any) -> dict[str, Any]:
    shards = [{"documents": [name for name in documents if name != "s"], "chunks": {"a": [0, 3]}}]
    return {
        "shards": shards,
        "settled": [{"doc_id": "s", "state": "skipped", "reason": "duplicate_of:a"}],
        "chunk_choice": {"documents": documents},
    }


PLAN = plan(
    a={"chunks": 4, "left_out": {"contents": [1], "duplicate": [2]}},
    b={"chunks": 3, "left_out": {}},
    s={"chunks": 4, "left_out": {"duplicate_of": [0, 1, 2, 3]}},
)


def merged(*records: dict[str, Any], chunks: str = "") -> Merged:
    """A shard with these document records and a chunk record for each letter."""
    found = Merged(None, None)  # type: ignore[arg-type] # no file is looked at
    found.documents = {record["doc_id"]: record for record in records}
    found.chunks = {f"{name}{place}": ChunkDone(name, "ok", 1, 1) for place, name in enumerate(chunks)}
    return found


def record(doc_id: str, chunks: int, all_chunks: int, state: str = "ok", **left_out: int) -> dict[str, Any]:
    return {"doc_id": doc_id, "state": state, "chunks": chunks, "all_chunks": all_chunks, "left_out": left_out,
            "suspicious": {"instructions": 1}, "page_fidelity": {"low": 2}, "sketch": "x"}  # fmt: skip


def funnel(*records: dict[str, Any], chunks: str) -> ChunkFunnel:
    found = ChunkFunnel()
    found.add_settled(PLAN)
    found.add_shard(PLAN, ["a", "b"], merged(*records, chunks=chunks))
    assert found.chunks == found.asked + found.left_out.total()
    return found


def test_a_finished_run_accounts_for_every_chunk() -> None:
    found = funnel(record("a", 2, 4, contents=1, duplicate=1), record("b", 2, 3, capped=1), chunks="aabb")
    assert (found.chunks, found.asked) == (11, 4)
    assert +found.left_out == Counter(duplicate_of=4, contents=1, duplicate=1, capped=1)
    assert (found.suspicious_documents, found.suspicious) == (2, {"instructions": 2})
    assert found.fidelity() == "4 chunks of pages whose lines did not stay together"
    assert found.to_json()["page_fidelity"] == {"low": 4}
    assert set(found.sketches) == {"a", "b"}


def test_what_is_left_of_documents_that_failed_or_did_not_end_is_named_so() -> None:
    found = funnel(record("a", 1, 4, "failed", contents=1, duplicate=1, document_failed=1), chunks="ab")
    assert +found.left_out == Counter(duplicate_of=4, contents=1, duplicate=1, document_failed=1, document_unfinished=2)


def test_a_chunk_that_two_runs_asked_about_counts_once() -> None:
    found = funnel(record("a", 2, 4, contents=1, duplicate=1), record("b", 3, 3), chunks="aabbb")
    found.count_once(3)
    assert found.left_out["in_another_run"] == 2
    assert found.chunks == found.asked + found.left_out.total()


def test_of_a_run_from_before_chunks_were_accounted_for_only_those_with_records_are_known() -> None:
    found = ChunkFunnel()
    found.add_shard({"settled": []}, ["a"], merged({"doc_id": "a", "state": "ok", "chunks": 2}, chunks="aa"))
    assert (found.chunks, found.asked, found.unknown_documents) == (2, 2, 1)


def test_a_plan_that_asks_about_a_chunk_that_it_left_out_is_at_fault() -> None:
    assert plan_faults(PLAN) == []
    broken = plan(a={"chunks": 4, "left_out": {"contents": [1]}}, b={"chunks": 3, "left_out": {}})
    assert plan_faults(broken) == ["plan.json: a has chunks that are asked about and left out, or neither"]


def test_a_document_that_ended_ok_and_does_not_account_for_its_chunks_is_at_fault() -> None:
    good, bad = record("a", 2, 4, contents=1, duplicate=1), record("b", 2, 3)
    assert record_faults({"a": 4, "b": 3}, merged(good)) == []
    assert record_faults({"a": 4, "b": 3}, merged(good, bad)) == ["b accounts for 2 chunks, and has 3"]
