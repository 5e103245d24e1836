import pytest

from hpc_qa.errors import StoreError
from hpc_qa.store.commits import commit, read_commit, set_aside
from hpc_qa.store.merge import commit_shard, merge_shard, tally_of
from tests.made_runs import attempt, chunk, document, key, pair, planned_run, rejected, whole


@pytest.fixture
def shard(tmp_path):
    return planned_run(tmp_path, [["a", "b"]]).shard(0)


def merged_records(shard):
    records = []
    merged = merge_shard(shard, lambda batch: records.extend(batch.records))
    return merged, records


def questions(records):
    return [record["question"] for record in records if record["kind"] == "pair"]


def test_a_shard_that_was_never_started_is_empty(shard):
    merged = merge_shard(shard)
    assert (merged.documents, merged.chunks, merged.recomputed) == ({}, {}, 0)


def test_of_a_chunk_asked_about_twice_the_earlier_attempt_counts_with_all_its_pairs(shard):
    first = chunk("a", 0, [pair("a", 0, 0, question="first")])
    again = chunk("a", 0, [pair("a", 0, item, question="again") for item in range(3)])
    attempt(shard, [first])
    attempt(shard, [again], restart=1)
    merged, records = merged_records(shard)
    assert questions(records) == ["first"]
    assert merged.recomputed == 4
    assert merged.doubles == []


def test_resume_sees_the_union_of_all_attempts(shard):
    batches = whole("a")
    attempt(shard, [batches[0]])
    attempt(shard, batches[1:], restart=1)
    merged = merge_shard(shard)
    assert merged.done == {"a": "ok"}
    assert [done.pairs for done in merged.chunks.values()] == [2, 2]
    assert merged.chunks[key("chunk", "a", 0)].outcome == "ok"


def test_a_document_whose_chunk_is_damaged_is_not_done_and_is_done_after_a_second_attempt(shard):
    made = attempt(shard, [*whole("a"), *whole("b")])
    damage(made.segments()[0], 2)
    merged = merge_shard(shard)
    assert merged.done == {"b": "ok"}
    assert merged.unproven == {"a": "says 2 chunks, and 1 are there"}
    recomputed = chunk("a", 0, [pair("a", 0, item) for item in range(3)])  # one pair more than before
    attempt(shard, [recomputed], restart=1)
    merged = merge_shard(shard)
    assert merged.done == {"a": "ok", "b": "ok"}
    assert merged.counts.pairs == 9


def damage(segment, line):
    """Change a byte in the text of this line, from 1."""
    lines = segment.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"doc_id"', b'"dok_id"')
    segment.write_bytes(b"".join(lines))


def test_a_failed_document_is_done_whatever_its_chunks(shard):
    attempt(shard, [[document("a", state="failed") | {"chunks": 7}]])
    merged = merge_shard(shard)
    assert merged.done == {"a": "failed"}
    assert merged.counts.reasons == {"failed: poison": 1}


def test_two_terminal_states_of_a_document_are_a_conflict_and_the_first_holds(shard):
    attempt(shard, [[document("a", state="failed")]])
    attempt(shard, [[document("a", state="skipped")]], restart=1)
    merged = merge_shard(shard)
    assert merged.conflicts == {"a": ["failed", "skipped"]}
    assert merged.done == {"a": "failed"}


def test_what_one_attempt_wrote_twice_is_named_and_counts_once(shard):
    attempt(shard, [*whole("a"), whole("a")[0]])
    merged, records = merged_records(shard)
    assert len(merged.doubles) == 1
    assert len(records) == 7
    assert merged.done == {"a": "ok"}


def test_pairs_without_their_chunk_do_not_count(shard):
    attempt(shard, [[pair("a", 0, 0)]])
    merged, records = merged_records(shard)
    assert records == []
    assert "without their chunk" in merged.doubles[0]


def test_the_counts_add_up(shard):
    batches = [chunk("a", 0, [pair("a", 0, 0), rejected("a", 0, 1)]), chunk("a", 1, [], cached_tokens=None)]
    attempt(shard, [*batches, [document("a", batches)], [document("b", state="failed")]])
    assert merge_shard(shard).counts.to_json() == {
        "documents": {"ok": 1, "failed": 1, "skipped": 0},
        "reasons": {"failed: poison": 1},
        "chunks": 2,
        "asked": 10,
        "pairs": 2,
        "accepted": 1,
        "rejected": {"numbers_occur": 1},
        "prompt_tokens": 200,
        "cached_tokens": 40,
        "completion_tokens": 100,
    }


def test_a_shard_with_a_document_left_cannot_be_committed(shard):
    made = attempt(shard, whole("a"))
    with pytest.raises(StoreError, match="1 of 2 documents are not done, b"):
        commit_shard(shard, made.name, ["a", "b"])
    assert read_commit(shard) is None


def test_the_first_commit_holds_and_says_what_the_files_say(shard):
    first = attempt(shard, whole("a"))
    second = attempt(shard, whole("b"), restart=1)
    counts, tally = merge_shard(shard).counts.to_json(), tally_of(shard, ["a", "b"])
    assert commit_shard(shard, first.name, ["a", "b"])
    assert not commit_shard(shard, second.name, ["a", "b"])
    committed = read_commit(shard)
    assert committed is not None
    assert (committed.attempt, committed.counts) == (first.name, counts)
    assert [info.path for info in committed.segments] == [f"{a.name}/seg-000.jsonl" for a in (first, second)]
    assert tally_of(shard, ["a", "b"]) == tally == ({"ok": 2}, {}, 8, 8)


def test_what_is_written_after_the_commit_does_not_count(shard):
    made = attempt(shard, whole("a"))
    assert commit_shard(shard, made.name, ["a"])
    attempt(shard, whole("b"), restart=1)
    assert merge_shard(shard).done == {"a": "ok"}


def test_a_torn_tail_of_an_earlier_attempt_is_not_committed(shard):
    first = attempt(shard, [*whole("a"), *whole("b")])
    os_truncate(first.segments()[0], cut=10)
    second = attempt(shard, [whole("b")[-1]], restart=1)
    assert commit_shard(shard, second.name, ["a", "b"])
    merged = merge_shard(shard)
    assert merged.done == {"a": "ok", "b": "ok"}
    assert (merged.damaged, merged.torn) == ([], {})


def os_truncate(path, cut):
    path.write_bytes(path.read_bytes()[:-cut])


def test_a_commit_of_the_same_content_is_won_again_and_another_is_not(shard):
    shard.path.mkdir()
    assert commit(shard, "one", [], {"ok": 1})
    assert commit(shard, "one", [], {"ok": 1})
    assert not commit(shard, "two", [], {"ok": 1})


def test_a_commit_that_was_changed_is_refused_and_can_be_set_aside(shard):
    made = attempt(shard, whole("a"))
    commit_shard(shard, made.name, ["a"])
    shard.commit.write_text(shard.commit.read_text().replace('"ok": 1', '"ok": 2'))
    with pytest.raises(StoreError, match="not as it was written"):
        read_commit(shard)
    aside = set_aside(shard)
    assert aside is not None
    assert aside.exists()
    assert read_commit(shard) is None
    assert commit_shard(shard, made.name, ["a"])
    assert set_aside(planned_run(shard.path, [["x"]]).shard(0)) is None
