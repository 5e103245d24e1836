"""Segments: the files that records are appended to, a checksum on every line.

One attempt writes its own segments and nobody else's, and never appends to an old one. A batch goes to disk with one
write and one fsync, and only then is it acknowledged. When read, a batch counts whole or not at all: a torn tail is
the normal trace of a kill, a line that fails its checksum before the tail is damage. Merging attempts is in `merge.py`.

A line is `{"crc32":"<8 hex>","bytes":N,` and then N bytes over which the checksum goes, `"batch":B,"line":L,"lines":M,
"record":{...}}`: line L of the M lines of batch B, counted from 0. Batches are numbered through an attempt, so a
missing or repeated line shows.
"""

import errno
import hashlib
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpc_qa.errors import StoreError
from hpc_qa.store.files import FILE_MODE, HeldFolder, run_id_of, storage_error, sync_folder, what_to_do
from hpc_qa.store.records import Record

MAX_SEGMENT_BYTES = 64_000_000
PREFIX = re.compile(rb'\{"crc32":"([0-9a-f]{8})","bytes":([1-9][0-9]*),')


def encode_line(batch: int, line: int, lines: int, record: Mapping[str, Any]) -> bytes:
    """One line of a segment. ASCII only: even half of a surrogate pair from a model comes back as it was."""
    try:
        text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise StoreError(
            f"a record cannot be written as JSON: {exc}",
            hint="this is a fault of the program",
        ) from exc
    checked = b'"batch":%d,"line":%d,"lines":%d,"record":%s}' % (
        batch,
        line,
        lines,
        text.encode("ascii"),
    )
    return b'{"crc32":"%08x","bytes":%d,%s\n' % (
        zlib.crc32(checked),
        len(checked),
        checked,
    )


def decode_line(text: bytes) -> tuple[int, int, int, Record]:
    """Batch, line, lines and record of one line, with its newline.

    Raises:
        ValueError: the line is not as it was written; the message says how.
    """
    match = PREFIX.match(text)
    if not match:
        raise ValueError("does not begin like a record")
    checked = text[match.end() : -1]
    if len(checked) != int(match[2]):
        raise ValueError(f"has {len(checked)} bytes instead of {int(match[2])}")
    if zlib.crc32(checked) != int(match[1], 16):
        raise ValueError("does not have its checksum")
    value = json.loads(b"{" + checked)
    return value["batch"], value["line"], value["lines"], value["record"]


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """What is on disk of one segment."""

    path: str  # ATTEMPT/seg-000.jsonl
    bytes: int  # without a torn tail
    records: int
    sha256: str  # of those bytes


class SegmentWriter:
    """Appends batches of records to the segments of one attempt.

    `on_ack` gets the records of a flush once they are synced: progress, counters and everything else that tells people
    about them belongs there. After an error the writer is unusable and what was not acknowledged does not count:
    a second fsync after a failed one may report success for data that was dropped.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_records: int = 64,
        max_age_s: float = 2.0,
        max_bytes: int = MAX_SEGMENT_BYTES,
        on_ack: Callable[[Sequence[Mapping[str, Any]]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[int, bytes], int] = os.write,
        fsync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._folder = folder
        self._held = HeldFolder(folder)
        self._max_records = max_records
        self._max_age_s = max_age_s
        self._max_bytes = max_bytes
        self._on_ack = on_ack
        self._clock = clock
        self._write = write
        self._fsync = fsync
        self._pending: list[Mapping[str, Any]] = []
        self._lines: list[bytes] = []
        self._oldest = 0.0
        self._batch = 0
        self._broken: str | None = None  # why nothing more can be written
        self._descriptor: int | None = None
        self._done: list[SegmentInfo] = []
        self._start_segment()

    @property
    def path(self) -> Path:
        """The segment that is written now, or will be by the next flush."""
        return self._folder / f"seg-{len(self._done):03}.jsonl"

    def add(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Buffer records that count together or not at all, a chunk and its pairs for example."""
        self._check_usable()
        if not records:
            return
        lines = [encode_line(self._batch, line, len(records), record) for line, record in enumerate(records)]
        if not self._pending:
            self._oldest = self._clock()
        self._batch += 1
        self._lines += lines
        self._pending += records
        if len(self._pending) >= self._max_records:
            self.flush()

    def flush_if_due(self) -> None:
        """Flush when the oldest buffered record has waited long enough; call this often."""
        if self._pending and self._clock() - self._oldest >= self._max_age_s:
            self.flush()

    def flush(self) -> None:
        """Put everything buffered on disk and acknowledge it.

        Raises:
            StoreError: it is not known to be on disk; the attempt has to end.
        """
        self._check_usable()
        if not self._pending:
            return
        data = b"".join(self._lines)
        if self._size and self._size + len(data) > self._max_bytes:
            self._close_segment()
        self._append(self._open_segment() if self._descriptor is None else self._descriptor, data)
        acknowledged, self._pending, self._lines = self._pending, [], []
        self._size += len(data)
        self._records += len(acknowledged)
        self._sha256.update(data)
        if self._on_ack:
            self._on_ack(acknowledged)

    def close(self) -> list[SegmentInfo]:
        """Flush, close, and say what was written; an attempt without records leaves no segment."""
        self.flush()
        self._close_segment()
        self._broken = "it was closed"
        return self._done

    def abandon(self) -> None:
        """Let go of the file without flushing: what was not acknowledged does not count."""
        self._give_up("it was abandoned")

    def _check_usable(self) -> None:
        if self._broken:
            raise StoreError(f"{self.path}: nothing more can be written: {self._broken}", hint=what_to_do(self.path))

    def _start_segment(self) -> None:
        self._size = 0
        self._records = 0
        self._sha256 = hashlib.sha256()

    def _open_segment(self) -> int:
        try:
            self._held.check()
        except StoreError as error:
            self._give_up(str(error))
            raise
        try:
            descriptor = os.open(
                self.path,
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                FILE_MODE,
            )
            self._descriptor = descriptor
            sync_folder(self._folder)
        except OSError as exc:
            self._give_up(f"the segment could not be made: {exc.strerror}")
            raise storage_error(self.path, "cannot make the segment", exc) from exc
        return descriptor

    def _append(self, descriptor: int, data: bytes) -> None:
        try:
            written = self._write(descriptor, data)
            if written == len(data):
                self._fsync(descriptor)
                self._check_reachable(descriptor)
        except OSError as exc:
            self._give_up(f"an earlier write failed: {exc.strerror}")
            raise storage_error(self.path, "cannot write records", exc) from exc
        if written != len(data):  # a full disk gives a short write first and an error only at the next one
            self._give_up(f"an earlier write was cut short after {written} of {len(data)} bytes")
            raise StoreError(f"{self.path}: {written} of {len(data)} bytes were written", hint=what_to_do(self.path))

    def _check_reachable(self, descriptor: int) -> None:
        """What was removed or replaced still takes our writes, and nobody would ever find them."""
        try:
            same = os.path.samestat(os.lstat(self.path), os.fstat(descriptor))
        except FileNotFoundError:
            same = False
        if not same:
            raise FileNotFoundError(errno.ENOENT, "the file or a folder above it was removed or replaced")

    def _close_segment(self) -> None:
        path, descriptor, self._descriptor = self.path, self._descriptor, None
        if descriptor is None:
            return
        try:
            os.close(descriptor)  # a network file system may report a failed write only here
        except OSError as exc:
            self._broken = f"an earlier close failed: {exc.strerror}"
            raise storage_error(path, "cannot close the segment", exc) from exc
        name = f"{self._folder.name}/{path.name}"
        self._done.append(SegmentInfo(name, self._size, self._records, self._sha256.hexdigest()))
        self._start_segment()

    def _give_up(self, why: str) -> None:
        self._broken = why
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):  # the error that counts was raised before
                os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that were written together, and where they stand."""

    path: Path
    line: int  # number of the first one in the file, from 1
    offset: int
    size: int  # bytes
    number: int
    records: list[Record]


@dataclass(slots=True)
class Segment:
    """What reading one segment found; complete once its batches have been read to the end."""

    path: Path
    records: int = 0
    good_bytes: int = 0  # up to the end of the last whole batch, or of the last line if that is damaged
    torn_bytes: int = 0  # after it: a kill during a write leaves these, nobody was told of them
    damaged: list[tuple[int, str]] = field(default_factory=list)  # line number and what is wrong with it
    sha256: str | None = None  # of the good bytes, when asked for
    next_batch: int = 0  # the number that the attempt's next batch has


def read_batches(segment: Segment, *, limit: int | None = None, digest: bool = False) -> Iterator[Batch]:
    """The whole batches of a segment, in order, up to `limit` bytes; fills in `segment` on the way.

    Damage never stops the reading, and a batch with a damaged line is left out as a whole.
    """
    reading = _Reading(segment, digest=digest)
    try:
        with segment.path.open("rb") as lines:
            for text in lines:
                if limit is not None and reading.offset + len(text) > limit:
                    break
                batch = reading.take(text)
                if batch:
                    yield batch
    except OSError as exc:
        raise storage_error(segment.path, "cannot be read", exc) from exc
    reading.finish()


class _Reading:
    """Where the reading of a segment stands."""

    def __init__(self, segment: Segment, *, digest: bool) -> None:
        self.segment = segment
        self.offset = 0
        self._line = 0
        self._unterminated = 0
        self._open: Batch | None = None  # begun, not yet whole
        self._explained = False  # damage was reported since the last whole batch: what follows from it is not news
        self._unreadable = False  # so was the line before
        self._sha256 = hashlib.sha256() if digest else None
        self._held: list[bytes] = []  # read, but not yet part of the good bytes

    def take(self, text: bytes) -> Batch | None:
        """Take the next line; the batch that it completes, if it does."""
        start, self.offset, self._line = (
            self.offset,
            self.offset + len(text),
            self._line + 1,
        )
        if self._sha256:
            self._held.append(text)
        if not text.endswith(b"\n"):  # only the last line of a file can lack it
            self._unterminated = len(text)
            return None
        try:
            number, line, lines, record = decode_line(text)
        except (ValueError, KeyError, TypeError, RecursionError) as exc:
            if not self._unreadable:  # a stretch of foreign bytes is one damage, however many lines it seems to have
                self._damage(str(exc))
            self._unreadable = True
            return None
        self._unreadable = False
        if line == 0:
            self._begin(number, start)
        if self._open is None or self._open.number != number or len(self._open.records) != line:
            self._damage_unless_explained(f"is not the next line of batch {number}")
            return None
        self._open.records.append(record)
        return self._complete() if line + 1 == lines else None

    def finish(self) -> None:
        """Say what the end of the file is: torn, when nothing but its last batch is not whole, else damaged."""
        if self._explained:  # what was found damaged stays part of the segment, so that a commit can name it
            self.segment.good_bytes = self.offset - self._unterminated
            self._held = self._held[:-1] if self._unterminated else self._held
            self._digest()
        self.segment.torn_bytes = self.offset - self.segment.good_bytes
        if self._sha256:
            self.segment.sha256 = self._sha256.hexdigest()

    def _begin(self, number: int, start: int) -> None:
        expected = self.segment.next_batch
        if number < expected:
            self._damage(f"repeats batch {number}")
            return
        if self._open or number > expected:
            self._damage_unless_explained(f"batch {expected} should stand here, whole, and it is batch {number}")
        self.segment.next_batch = number + 1
        self._open = Batch(self.segment.path, self._line, start, 0, number, [])

    def _complete(self) -> Batch | None:
        batch, self._open, self._explained = self._open, None, False
        if batch is None:
            return None
        segment = self.segment
        segment.good_bytes = self.offset
        segment.records += len(batch.records)
        self._digest()
        return replace(batch, size=self.offset - batch.offset)

    def _digest(self) -> None:
        if self._sha256:
            self._sha256.update(b"".join(self._held))
            self._held = []

    def _damage(self, why: str) -> None:
        self.segment.damaged.append((self._line, why))
        self._explained = True
        self._open = None

    def _damage_unless_explained(self, why: str) -> None:
        if not self._explained:
            self._damage(why)
        self._open = None


def read_batch(path: Path, offset: int, size: int) -> list[Record]:
    """The records of one batch whose place is known.

    Raises:
        StoreError: it is no longer what stood there.
    """
    try:
        with path.open("rb") as segment:
            segment.seek(offset)
            lines = segment.read(size).splitlines(keepends=True)
        return [decode_line(line)[3] for line in lines]
    except OSError as exc:
        raise storage_error(path, "cannot be read", exc) from exc
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        hint = f"hpc-qa verify {run_id_of(path)} says what else"
        raise StoreError(f"{path}: a record at byte {offset} {exc}", hint=hint) from exc


def read_segment(path: Path, *, first_batch: int = 0) -> tuple[Segment, list[Record]]:
    """One segment read whole: what was found, and the records of its whole batches."""
    segment = Segment(path, next_batch=first_batch)
    return segment, [record for batch in read_batches(segment) for record in batch.records]
