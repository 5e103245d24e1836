"""Take the text of a document out of the segments of a run, so that everything else can still be proven.

Every record of the document is replaced by one of the same length in bytes: its texts are empty, its counts stay, and
spaces fill what is left, so that no offset, size or count of the run changes. A commit stays as it was written. Next to
it `REDACTED-001.json` names each committed segment with its SHA-256 before and after; `verify` follows these from the
commit to the bytes that are there. It is written before the first segment is replaced, and a redaction that was
interrupted is repeated.
"""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_qa.errors import StoreError
from hpc_qa.store.commits import read_commit
from hpc_qa.store.files import FILE_MODE, list_folder, read_sealed, storage_error, sync_folder, write_sealed_once
from hpc_qa.store.records import Record
from hpc_qa.store.run_directory import ShardDirectory
from hpc_qa.store.segments import PREFIX, decode_line

NAME = re.compile(r"REDACTED-(\d{3,})\.json")

# What says nothing of a document's text. A field that is not named here is emptied.
KEPT = frozenset(
    "kind key doc_id chunk_id chunk_index item evidence_numbers question_type checks accepted reject_reason created_at"
    " outcome lost state reason pages pair at reviewer action difficulty control shown_chunk_id left_out suspicious"
    " language flags page_fidelity".split()
)


@dataclass(frozen=True, slots=True)
class Edge:
    """The SHA-256 of a segment, up to the byte to which it was committed, before and after a redaction."""

    segment: str  # ATTEMPT/seg-000.jsonl
    before: str
    after: str


def emptied(record: Mapping[str, Any]) -> Record:
    """The record without any text that came from a document; numbers and names stay."""
    return {name: value if name in KEPT else _empty(value) for name, value in record.items()}


def _empty(value: Any) -> Any:
    if isinstance(value, str | list | dict):
        return type(value)()
    return value


def redact_shard(shard: ShardDirectory, documents: Collection[str]) -> int:
    """Empty every record of these documents in all segments of a shard; how many segments were changed.

    Lines that cannot be read are blanked as well where the shard holds anything of these documents: nobody can tell
    whose they are. No attempt at the shard may be running.

    Raises:
        StoreError: a segment cannot be read or replaced.
    """
    committed = read_commit(shard)
    sizes = {info.path: info.bytes for info in committed.segments} if committed else {}
    paths = [path for attempt in shard.attempts() for path in attempt.segments()]
    wanted = frozenset(documents)
    if not any(_holds(path, wanted) for path in paths):
        return 0
    staged: list[tuple[Path, Path]] = []
    edges: list[Edge] = []
    for path in paths:
        name = f"{path.parent.name}/{path.name}"
        temporary = path.with_name(f".{path.name}.redacting")
        before, after, changed = _rewrite(path, temporary, lambda line: redacted(line, wanted), sizes.get(name))
        if changed:
            staged.append((temporary, path))
            edges += [Edge(name, before, after)] if name in sizes and before != after else []
        else:
            temporary.unlink()
    _keep(shard, edges)
    for temporary, path in staged:
        replace_file(temporary, path)
    return len(staged)


def redacted(line: bytes, documents: Collection[str]) -> bytes:
    """The line without the text of these documents, as many bytes as before."""
    try:
        batch, number, lines, record = decode_line(line)
    except (ValueError, KeyError, TypeError, RecursionError):
        return re.sub(rb"[^\n]", b"#", line)
    if not isinstance(record, dict) or record.get("doc_id") not in documents:
        return line
    return same_length(line, batch, number, lines, emptied(record))


def same_length(line: bytes, batch: int, number: int, lines: int, record: Mapping[str, Any]) -> bytes:
    """A line of a segment with this record in it, as long as the one before; the room is filled with spaces.

    Raises:
        StoreError: the record needs more room.
    """
    found = PREFIX.match(line)
    start = 0 if found is None else found.end()
    text = json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii")
    head = b'"batch":%d,"line":%d,"lines":%d,"record":%s' % (batch, number, lines, text)
    room = len(line) - start - len(head) - len(b"}\n")
    if room < 0:
        raise StoreError("a record needs more room without its text than with it", hint="another version wrote it")
    checked = head + b" " * room + b"}"
    return b'{"crc32":"%08x","bytes":%d,%s\n' % (zlib.crc32(checked), len(checked), checked)


def _holds(path: Path, documents: Collection[str]) -> bool:
    """Whether a record of these documents in this segment has any text left."""
    return any(record.get("doc_id") in documents and emptied(record) != record for record in readable_records(path))


def readable_records(path: Path) -> Iterator[Record]:
    """Every record of a segment that can be read, whether its batch counts or not.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        with path.open("rb") as lines:
            for line in lines:
                try:
                    record = decode_line(line)[3]
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue
                if isinstance(record, dict):
                    yield record
    except OSError as exc:
        raise storage_error(path, "cannot be read", exc) from exc


def _rewrite(
    path: Path, temporary: Path, change: Callable[[bytes], bytes], committed: int | None
) -> tuple[str, str, bool]:
    """Write the changed lines beside a segment: SHA-256 of the committed bytes before and after, and whether any is."""
    old, new, left, changed = hashlib.sha256(), hashlib.sha256(), committed or 0, False
    try:
        with path.open("rb") as lines, open(temporary, "wb", opener=_private) as copy:
            for line in lines:
                other = change(line)
                changed |= other != line
                old.update(line[:left])
                new.update(other[:left])
                left -= min(left, len(line))
                copy.write(other)
            copy.flush()
            os.fsync(copy.fileno())
    except OSError as exc:
        raise storage_error(temporary, "cannot write", exc) from exc
    return old.hexdigest(), new.hexdigest(), changed


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, FILE_MODE)


def replace_file(temporary: Path, path: Path) -> None:
    """Put a synced file in the place of another one.

    Raises:
        StoreError: that is refused.
    """
    try:
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as exc:
        raise storage_error(path, "cannot be replaced", exc) from exc


def rewrite_lines(path: Path, change: Callable[[bytes], bytes]) -> bool:
    """Replace a file of lines that nobody writes to by its changed lines; whether any was changed.

    Raises:
        StoreError: it cannot be read or replaced.
    """
    temporary = path.with_name(f".{path.name}.redacting")
    changed = _rewrite(path, temporary, change, None)[2]
    if changed:
        replace_file(temporary, path)
    else:
        temporary.unlink()
    return changed


def _keep(shard: ShardDirectory, edges: list[Edge]) -> None:
    """Write down what is about to change, unless an interrupted redaction has."""
    known = redactions(shard)
    fresh = [edge for edge in edges if edge not in known]
    if not fresh:
        return
    numbers = [int(match[1]) for entry in list_folder(shard.path) if (match := NAME.fullmatch(entry.name))]
    content = {"segments": [{"segment": e.segment, "before": e.before, "after": e.after} for e in fresh]}
    path = shard.path / f"REDACTED-{max(numbers, default=0) + 1:03}.json"
    if not write_sealed_once(path, content):
        raise StoreError(f"{path}: another revocation is at work", hint="call it again when that has ended")


def redactions(shard: ShardDirectory) -> list[Edge]:
    """What was ever redacted of the committed segments of a shard.

    Raises:
        StoreError: a file of it is not as it was written.
    """
    found: list[Edge] = []
    for entry in list_folder(shard.path):
        if NAME.fullmatch(entry.name):
            try:
                found += [Edge(**one) for one in read_sealed(Path(entry.path))["segments"]]
            except (KeyError, TypeError) as exc:
                raise StoreError(f"{entry.path}: was written by another version: {exc}") from exc
    return found


def may_be(edges: Collection[Edge], segment: str, committed: str) -> set[str]:
    """The SHA-256 that a segment may have: that of its commit, and every one that redactions made of it.

    >>> steps = [Edge("a", "1", "2"), Edge("a", "2", "3"), Edge("b", "1", "9")]
    >>> sorted(may_be(steps, "a", "1")), sorted(may_be(steps, "b", "1"))
    (['1', '2', '3'], ['1', '9'])
    """
    found, fresh = {committed}, {committed}
    while fresh:
        fresh = {edge.after for edge in edges if edge.segment == segment and edge.before in fresh} - found
        found |= fresh
    return found
