import errno
import json
import os
import stat
import subprocess
import sys

import pytest

from hpc_qa.errors import StoreError
from hpc_qa.store.segments import Segment, SegmentWriter, read_batch, read_batches, read_segment
from tests.made_runs import chunk, document, pair

RECORDS = [{"number": number, "text": "§ ü \ud800 \n"} for number in range(4)]


class Disk:
    """write and fsync of the operating system, failing on request and keeping the order of calls."""

    def __init__(self, fail_write=None, fail_fsync=None, short=False):
        self.fail_write, self.fail_fsync, self.short = fail_write, fail_fsync, short
        self.calls = []

    def write(self, descriptor, data):
        self.calls.append("write")
        if self.fail_write:
            raise OSError(self.fail_write, os.strerror(self.fail_write))
        return os.write(descriptor, data[: len(data) // 2] if self.short else data)

    def fsync(self, descriptor):
        self.calls.append("fsync")
        if self.fail_fsync:
            error, self.fail_fsync = self.fail_fsync, None  # the next one would succeed
            raise OSError(error, os.strerror(error))
        os.fsync(descriptor)


def writer_on(disk, folder, acknowledged, **settings):
    return SegmentWriter(folder, write=disk.write, fsync=disk.fsync, on_ack=acknowledged.extend, **settings)


def test_records_are_acknowledged_after_one_write_and_one_fsync(tmp_path):
    disk, acknowledged = Disk(), []
    writer = writer_on(disk, tmp_path, acknowledged)
    writer.add(RECORDS[:2])
    writer.add(RECORDS[2:])
    assert (disk.calls, acknowledged) == ([], [])
    writer.flush()
    assert (disk.calls, acknowledged) == (["write", "fsync"], RECORDS)
    assert read_segment(writer.path)[1] == RECORDS
    assert stat.S_IMODE(writer.path.stat().st_mode) == 0o600


def test_a_full_buffer_flushes_itself_and_never_parts_a_batch(tmp_path):
    acknowledged = []
    writer = SegmentWriter(tmp_path, max_records=3, on_ack=acknowledged.append)
    writer.add(RECORDS[:2])
    writer.add(RECORDS)
    assert acknowledged == [[*RECORDS[:2], *RECORDS]]


def test_a_buffer_that_waited_long_enough_is_flushed(tmp_path):
    now, acknowledged = [100.0], []
    writer = SegmentWriter(tmp_path, max_age_s=2.0, clock=lambda: now[0], on_ack=acknowledged.append)
    writer.add(RECORDS[:1])
    now[0] += 1.9
    writer.add(RECORDS[1:2])
    writer.flush_if_due()
    assert acknowledged == []
    now[0] += 0.1  # 2 s after the first of them
    writer.flush_if_due()
    assert acknowledged == [RECORDS[:2]]


def test_a_large_segment_is_followed_by_the_next_one(tmp_path):
    writer = SegmentWriter(tmp_path, max_records=1, max_bytes=200)
    for record in RECORDS:
        writer.add([record])
    infos = writer.close()
    assert [info.path.rpartition("/")[2] for info in infos] == [f"seg-{n:03}.jsonl" for n in range(4)]
    assert sum(info.records for info in infos) == 4
    for number, info in enumerate(infos):
        segment = Segment(tmp_path / info.path.rpartition("/")[2], next_batch=number)
        list(read_batches(segment, digest=True))
        assert (segment.sha256, segment.good_bytes, segment.damaged) == (info.sha256, info.bytes, [])


def test_an_attempt_without_records_leaves_no_segment(tmp_path):
    assert SegmentWriter(tmp_path).close() == []
    assert list(tmp_path.iterdir()) == []


def test_a_segment_that_is_there_is_never_appended_to(tmp_path):
    (tmp_path / "seg-000.jsonl").write_bytes(b"another's")
    writer = SegmentWriter(tmp_path, max_records=1)
    with pytest.raises(StoreError, match="File exists"):
        writer.add(RECORDS)
    assert (tmp_path / "seg-000.jsonl").read_bytes() == b"another's"


@pytest.mark.parametrize(
    "disk",
    [Disk(fail_write=errno.ENOSPC), Disk(fail_write=errno.EDQUOT), Disk(fail_fsync=errno.EIO), Disk(short=True)],
    ids=["full", "quota", "fsync", "short write"],
)
def test_after_a_storage_error_nothing_is_acknowledged_and_nothing_more_is_written(tmp_path, disk):
    acknowledged = []
    writer = writer_on(disk, tmp_path, acknowledged)
    writer.add(RECORDS)
    with pytest.raises(StoreError, match="seg-000") as error:
        writer.flush()
    assert "quota" in (error.value.hint or "")
    calls = list(disk.calls)
    for again in (writer.flush, writer.close, lambda: writer.add(RECORDS)):
        with pytest.raises(StoreError):
            again()
    assert (acknowledged, disk.calls) == ([], calls)


def test_the_operating_system_refusing_to_write_more_leaves_a_torn_tail_and_a_store_error(tmp_path):
    # A limit on the file size behaves as a full disk does: a short write first.
    program = """
import resource, sys
from pathlib import Path
from hpc_qa.errors import StoreError
from hpc_qa.store.segments import SegmentWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (1100, 1100))
acknowledged = []
writer = SegmentWriter(Path(sys.argv[1]), max_records=1, on_ack=acknowledged.extend)
try:
    for number in range(100):
        writer.add([{"number": number}])
except StoreError as error:
    print(len(acknowledged), error)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    count, _, message = done.stdout.partition(" ")
    segment, records = read_segment(tmp_path / "seg-000.jsonl")
    assert records == [{"number": number} for number in range(int(count))]
    assert segment.torn_bytes > 0
    assert "bytes were written" in message


def test_a_record_that_json_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    writer = SegmentWriter(tmp_path)
    for bad in (float("nan"), {1, 2}):
        with pytest.raises(StoreError, match="JSON"):
            writer.add([{"value": bad}])
    writer.add(RECORDS)
    writer.close()
    assert read_segment(tmp_path / "seg-000.jsonl")[1] == RECORDS


def written(tmp_path, *batches):
    writer = SegmentWriter(tmp_path)
    for batch in batches:
        writer.add(batch)
    writer.close()
    return tmp_path / "seg-000.jsonl"


def test_a_line_holds_the_checksum_of_its_rest_and_its_place_in_the_batch(tmp_path):
    first, second = map(json.loads, written(tmp_path, RECORDS[:2]).read_text().splitlines())
    assert list(first) == ["crc32", "bytes", "batch", "line", "lines", "record"]
    assert (second["batch"], second["line"], second["lines"], second["record"]) == (0, 1, 2, RECORDS[1])


def test_a_damaged_line_keeps_its_whole_batch_out_and_is_named(tmp_path):
    batches = [chunk("d", index, [pair("d", index, 0), pair("d", index, 1)]) for index in range(3)]
    path = written(tmp_path, *batches)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b"Sentence", b"Sentense")
    path.write_bytes(b"".join(lines))
    segment, records = read_segment(path)
    assert records == [*batches[0], *batches[2]]
    assert segment.damaged == [(5, "does not have its checksum")]
    assert segment.torn_bytes == 0


@pytest.mark.parametrize("lost", [slice(0, 1), slice(3, 4), slice(3, 6)], ids=["first line", "one line", "a batch"])
def test_a_line_that_was_taken_out_shows(tmp_path, lost):
    path = written(tmp_path, *(chunk("d", index, [pair("d", index, 0), pair("d", index, 1)]) for index in range(3)))
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[lost]
    path.write_bytes(b"".join(lines))
    segment, records = read_segment(path)
    assert len(records) == 6
    assert len(segment.damaged) == 1


def test_a_line_that_is_there_twice_shows_and_counts_once(tmp_path):
    path = written(tmp_path, [document("a")], [document("b")])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[0]]))
    segment, records = read_segment(path)
    assert [record["doc_id"] for record in records] == ["a", "b"]
    assert segment.damaged == [(3, "repeats batch 0")]


def test_a_batch_is_found_again_by_its_place(tmp_path):
    batches = [chunk("d", index, [pair("d", index, 0)]) for index in range(3)]
    path = written(tmp_path, *batches)
    places = [(batch.offset, batch.size) for batch in read_batches(Segment(path))]
    assert [read_batch(path, offset, size) for offset, size in places] == batches
    with pytest.raises(StoreError, match="byte"):
        read_batch(path, places[1][0] + 1, places[1][1])
