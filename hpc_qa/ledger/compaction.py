"""Compaction: the rows of many part files into a few, so that reading stays quick.

No row is changed or dropped, history neither. A compact file names in its footer the files whose rows it has: from its
rename on readers take it in their place, before it nothing has changed. So a kill costs a temporary file, and commands
beside it see every row at any moment. Replaced files are deleted by a compaction a day later, when nobody reads them
any more, and only after all of the file that has their rows was read.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from hpc_qa.errors import StoreError
from hpc_qa.ledger.parts import (
    COMPACT,
    FOLDER,
    REPLACES_KEY,
    TEMPORARY,
    UNREADABLE,
    conformed,
    is_compact,
    list_parts,
    open_part,
    publish_part,
    refuse_newer,
    version_of,
    why,
)
from hpc_qa.ledger.schema import TABLES, VERSION, VERSION_KEY

MOST_ROWS = 1_000_000  # of a compact file
ROWS_AT_ONCE = 100_000  # in memory, and in a row group
KEPT_S = 86_400  # replaced files, for those who read them now


@dataclass(frozen=True, slots=True)
class Compacted:
    """What the compaction of a table did."""

    table: str
    written: tuple[str, ...] = ()  # compact files
    rows: int = 0  # in them
    replaced: int = 0  # files whose rows they have
    deleted: int = 0  # files that were replaced more than a day ago
    kept: int = 0  # files that are replaced, and not deleted yet
    skipped: tuple[str, ...] = ()  # files that were left as they are, and why

    def to_json(self) -> dict[str, Any]:
        """As `ledger compact --json` prints it."""
        return asdict(self)


class _DamagedError(Exception):
    """A file cannot be read to its end."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path


class _OvertakenError(Exception):
    """Another compaction was quicker with the same files."""


def compact(project: Path, name: str) -> Compacted:
    """Compact a table, and delete what was replaced by earlier compactions.

    Raises:
        StoreError: the ledger cannot be read or written, or a later version of the program has written some of it.
    """
    folder = project / FOLDER / name
    bad: dict[Path, str] = {}
    done = Compacted(name)
    for group in _groups(folder, name, bad):
        done = _with_group(done, project, group, bad)
    deleted, kept = _delete_replaced(folder, name, bad)
    skipped = tuple(f"{path.name}: {reason}" for path, reason in sorted(bad.items()))
    return replace(done, deleted=deleted, kept=kept, skipped=skipped)


def _groups(folder: Path, name: str, bad: dict[Path, str]) -> list[list[Path]]:
    """Files that go into one compact file together."""
    groups: list[list[Path]] = [[]]
    room = MOST_ROWS
    for path in list_parts(folder, name).live:
        try:
            file = open_part(path)
            version, rows = version_of(file.schema_arrow), file.metadata.num_rows
        except UNREADABLE as exc:
            bad[path] = why(exc)
            continue
        refuse_newer(version)
        if rows > room:
            groups.append([])
            room = MOST_ROWS
        groups[-1].append(path)
        room -= rows
    return groups


def _with_group(done: Compacted, project: Path, group: Sequence[Path], bad: dict[Path, str]) -> Compacted:
    """What is done when these files are compacted as well, those that can be read."""
    files = list(group)
    while len(files) > 1:
        try:
            path, rows = _compact_files(project, done.table, files)
        except _DamagedError as damaged:
            bad[damaged.path] = str(damaged)
            files.remove(damaged.path)
        except _OvertakenError:
            break
        else:
            written = (*done.written, path.name)
            return replace(done, written=written, rows=done.rows + rows, replaced=done.replaced + len(files))
    return done


def _compact_files(project: Path, name: str, files: Sequence[Path]) -> tuple[Path, int]:
    """(the compact file with the rows of these, how many rows).

    Raises:
        _DamagedError: one of them cannot be read to its end.
        _OvertakenError: one of them does not count any more.
        StoreError: it cannot be written.
    """
    names = json.dumps([path.name for path in files]).encode()
    schema = TABLES[name].with_metadata({VERSION_KEY: str(VERSION).encode(), REPLACES_KEY: names})
    rows = 0

    def write(stream: BinaryIO) -> None:
        nonlocal rows
        with pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True) as writer:
            for table in _row_groups(files, TABLES[name]):
                writer.write_table(table, row_group_size=table.num_rows)
                rows += table.num_rows
        if not set(files) <= set(list_parts(project / FOLDER / name, name).live):
            raise _OvertakenError

    return publish_part(project, name, write, kind=COMPACT), rows


def _row_groups(files: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """All rows of these files, many at a time."""
    waiting: list[pa.Table] = []
    rows = 0
    for path in files:
        for table in _tables(path):
            waiting.append(conformed(table, schema))
            rows += table.num_rows
            if rows >= ROWS_AT_ONCE:
                yield pa.concat_tables(waiting)
                waiting, rows = [], 0
    if rows:
        yield pa.concat_tables(waiting)


def _tables(path: Path) -> Iterator[pa.Table]:
    """All of a file, a row group at a time.

    Raises:
        _DamagedError: it cannot be read to its end.
    """
    try:
        file = open_part(path)
        for number in range(file.num_row_groups):
            yield file.read_row_group(number).replace_schema_metadata(None)
    except UNREADABLE as exc:
        raise _DamagedError(path, why(exc)) from exc


def _delete_replaced(folder: Path, name: str, bad: dict[Path, str]) -> tuple[int, int]:
    """Delete what was replaced long enough ago: (how many files, how many are kept).

    Raises:
        StoreError: a file cannot be deleted.
    """
    files = list_parts(folder, name, bad)
    whole: dict[Path, bool] = {}
    deleted = 0
    # the compact ones last: without them the files that they replace would count again
    for path in sorted(files.replaced, key=lambda one: (is_compact(one, name), one)):
        if not _is_old(files.replaced[path]):
            continue
        holder = files.holder(path)
        if holder not in whole:
            whole[holder] = holder in files.live and _is_whole(holder, bad)
        if whole[holder]:
            _delete(path)
            deleted += 1
    for left in folder.glob(f"{TEMPORARY}*"):  # of writers that were killed
        if _is_old(left):
            _delete(left)
    return deleted, len(files.replaced) - deleted


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > KEPT_S
    except OSError:  # another compaction deleted it
        return False


def _is_whole(path: Path, bad: dict[Path, str]) -> bool:
    """Whether all of a file can be read."""
    try:
        for _ in _tables(path):
            pass
    except _DamagedError as damaged:
        bad[path] = str(damaged)
    return path not in bad


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise StoreError(f"{path}: cannot be deleted: {exc.strerror}", hint="its rows are in a compact file") from exc
