import multiprocessing
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.store.commits import commit, read_commit
from hpc_qa.store.run_directory import ShardDirectory
from hpc_qa.store.segments import SegmentWriter, decode_line, encode_line, read_segment

# Every text that JSON can carry, lone surrogates of a model among it.
texts = st.text(st.characters(exclude_categories=()), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
records = st.dictionaries(texts, values, max_size=3)
batches = st.lists(st.lists(records, min_size=1, max_size=3), min_size=1, max_size=4)


def write(folder: Path, written) -> Path:
    writer = SegmentWriter(folder)
    for batch in written:
        writer.add(batch)
    writer.close()
    return folder / "seg-000.jsonl"


def flat(some):
    return [record for batch in some for record in batch]


@settings(deadline=None)
@given(batches)
def test_what_is_written_is_read_back_in_order(written):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), written)
        segment, read = read_segment(path)
        assert read == flat(written)
        assert (segment.torn_bytes, segment.damaged, segment.good_bytes) == (0, [], path.stat().st_size)


@given(records, st.integers(0, 9), st.integers(0, 9))
def test_a_line_comes_back_as_it_was(record, batch, line):
    assert decode_line(encode_line(batch, line, line + 1, record)) == (batch, line, line + 1, record)


@settings(max_examples=10, deadline=None)
@given(batches)
def test_a_tail_torn_at_any_byte_gives_whole_batches_and_nothing_else(written):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), written)
        ends = [0, *ends_of(written)]
        for size in reversed(range(ends[-1])):
            os.truncate(path, size)
            complete = sum(end <= size for end in ends[1:])
            segment, read = read_segment(path)
            assert read == flat(written[:complete])
            assert (segment.good_bytes, segment.torn_bytes) == (ends[complete], size - ends[complete])
            assert segment.damaged == []


@settings(max_examples=100, deadline=None)
@given(batches, st.data())
def test_a_changed_byte_never_gives_a_wrong_record(written, data):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), written)
        content = bytearray(path.read_bytes())
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        segment, read = read_segment(path)
        hit = next(n for n, end in enumerate(ends_of(written)) if position < end)
        assert read == flat([*written[:hit], *written[hit + 1 :]])
        assert segment.damaged or segment.torn_bytes


def ends_of(written):
    end = 0
    for number, batch in enumerate(written):
        end += sum(len(encode_line(number, line, len(batch), record)) for line, record in enumerate(batch))
        yield end


def compete(folder, name, barrier, results):
    barrier.wait()
    results.put((name, commit(ShardDirectory(Path(folder)), name, [], {"winner": name})))


@pytest.mark.parametrize("round_number", range(5))
def test_of_many_processes_that_commit_at_once_exactly_one_wins(tmp_path, round_number):
    names = [f"attempt-{number}" for number in range(8)]
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(len(names)), context.Queue()
    processes = [context.Process(target=compete, args=(str(tmp_path), name, barrier, results)) for name in names]
    for process in processes:
        process.start()
    outcomes = dict(results.get(timeout=30) for _ in names)
    for process in processes:
        process.join()
    winners = [name for name, won in outcomes.items() if won]
    committed = read_commit(ShardDirectory(tmp_path))
    assert committed is not None
    assert winners == [committed.attempt]
    assert [path.name for path in tmp_path.iterdir()] == ["COMMIT.json"]
