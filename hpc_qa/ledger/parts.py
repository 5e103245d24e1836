"""Part files of a table: one writer each, published whole, never changed.

    ledger/attempt/part-attempt-HOST-PID-UUID.parquet
    ledger/attempt/part-attempt-compact-HOST-PID-UUID.parquet

A compact file holds the rows of others, and names them in its footer: as it appears they stop to count, in one rename.
No locks, no shared file: two commands at once write two files. A reader that meets a file which is not whole, or not
ours, leaves it out and names it; when that one is compact, the files that it replaces count, as long as they are there.
"""

import json
import os
import platform
import re
import uuid
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from hpc_qa.errors import StoreError
from hpc_qa.ledger.pandas_import import leave_pandas_out
from hpc_qa.ledger.schema import TABLES, VERSION, VERSION_KEY

FOLDER = "ledger"
READ_AT_ONCE = 4  # there may be thousands
TEMPORARY = ".tmp-"
COMPACT = "compact"
REPLACES_KEY = b"hpc_qa_ledger_replaces"  # names of files, as a JSON list
UNREADABLE = (OSError, ValueError, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the part files of a table hold together."""

    table: pa.Table
    skipped: tuple[str, ...]  # files that were left out, and why
    newest_version: int

    @property
    def is_newer(self) -> bool:
        """Whether a later version of the program has written some of it: then it is read and not written."""
        return self.newest_version > VERSION


def writable(parts: Parts) -> Parts:
    """The same, when this version of the program may add to them.

    Raises:
        StoreError: a later version has written some of it.
    """
    refuse_newer(parts.newest_version)
    return parts


def refuse_newer(version: int) -> None:
    """Refuse to write beside what this version wrote, when it is a later one.

    Raises:
        StoreError: it is.
    """
    if version > VERSION:
        raise StoreError(
            f"the ledger was written by a later version of hpc_qa (schema {version})",
            hint="use that version; this one only reads it",
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """The part files of a table."""

    live: tuple[Path, ...]  # together they hold every row
    replaced: dict[Path, Path]  # files that are not read, and the compact one that has their rows

    def holder(self, path: Path) -> Path:
        """The live file that has the rows of a replaced one."""
        for _ in self.replaced:
            if path not in self.replaced:
                break
            path = self.replaced[path]  # a compact file may be replaced in its turn
        return path


def write_part(project: Path, name: str, table: pa.Table) -> Path:
    """Publish rows as one more part file.

    Raises:
        StoreError: it could not be written.
    """
    stamped = table.cast(TABLES[name]).replace_schema_metadata({VERSION_KEY: str(VERSION).encode()})
    return publish_part(project, name, lambda stream: pq.write_table(stamped, stream, compression="zstd"))


def publish_part(project: Path, name: str, write: Callable[[BinaryIO], None], *, kind: str = "") -> Path:
    """Publish what is written to a stream as one more part file; nothing of it when the writing fails.

    Raises:
        StoreError: it could not be written.
    """
    folder = project / FOLDER / name
    host = re.sub(r"[^A-Za-z0-9.]", "", platform.node()) or "host"
    words = [word for word in ("part", name, kind, host, str(os.getpid()), uuid.uuid4().hex) if word]
    path = folder / f"{'-'.join(words)}.parquet"
    temporary = folder / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)  # the name is ours alone, so nothing is replaced
        _sync(folder)
    except OSError as exc:
        raise StoreError(
            f"{path}: cannot write: {exc.strerror or exc}",
            hint="look for a full disk, a quota or missing rights (df, quota, ls -ld)",
        ) from exc
    finally:
        with suppress(OSError):
            temporary.unlink()
    return path


def read_parts(project: Path, name: str, columns: Sequence[str]) -> Parts:
    """These columns of every part file; a column that a file lacks is null.

    Raises:
        StoreError: the folder cannot be listed.
    """
    leave_pandas_out()
    folder = project / FOLDER / name
    schema = pa.schema([TABLES[name].field(column) for column in columns])
    bad: dict[Path, str] = {}
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        while True:
            files = list_parts(folder, name, bad).live
            found = dict(zip(files, pool.map(lambda one: _read(one, schema), files), strict=True))
            failed = {path: reason for path, reason in found.items() if isinstance(reason, str)}
            bad |= failed
            # one that is gone was replaced since; without a compact one the files count that it replaces
            if all(os.path.lexists(path) and not is_compact(path, name) for path in failed):
                break
    tables = [one for one in found.values() if not isinstance(one, str)]
    skipped = tuple(f"{path.name}: {bad[path]}" for path in sorted(bad) if os.path.lexists(path))
    whole = pa.concat_tables([table for table, _ in tables]) if tables else schema.empty_table()
    return Parts(whole, skipped, max((version for _, version in tables), default=VERSION))


def list_parts(folder: Path, name: str, without: Container[Path] = ()) -> Listing:
    """The part files of a folder that count, by name, and those that were replaced; some files left out of account.

    Raises:
        StoreError: the folder cannot be listed.
    """
    files = [path for path in _part_files(folder, name) if path not in without]
    replaces = {path: names for path in files if is_compact(path, name) and (names := _replaces(path))}
    replaced = {folder / one: path for path, names in replaces.items() for one in names}
    for path, names in replaces.items():
        for other, others in replaces.items():  # two compactions at once: one of them is enough
            if names < others or (names == others and path > other):
                replaced.setdefault(path, other)
    live = tuple(path for path in files if path not in replaced)
    return Listing(live, {path: replaced[path] for path in files if path in replaced})


def is_compact(path: Path, name: str) -> bool:
    """Whether a part file is named as one that replaces others."""
    return path.name.startswith(f"part-{name}-{COMPACT}-")


def _replaces(path: Path) -> frozenset[str]:
    """The names of the files whose rows a compact one has; none when it is not whole."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
        return frozenset(map(str, json.loads(metadata.get(REPLACES_KEY, b"[]")))) - {path.name}
    except (OSError, ValueError, TypeError, pa.ArrowException):
        return frozenset()


def _read(path: Path, schema: pa.Schema) -> tuple[pa.Table, int] | str:
    """Columns and version of one file, or why it is left out."""
    try:
        file = open_part(path)
        held = file.schema_arrow  # made anew each time that it is asked for
        has = [column for column in schema.names if column in held.names]
        version = version_of(held)
        table = file.read(columns=has, use_threads=file.num_row_groups > 1).select(has)
        return conformed(table.replace_schema_metadata(None), schema), version
    except UNREADABLE as exc:
        return why(exc)


def open_part(path: Path) -> pq.ParquetFile:
    """A part file, opened; what is read of it is held against its checksums."""
    return pq.ParquetFile(path, page_checksum_verification=True)


def why(exc: BaseException) -> str:
    """What is wrong with a file, in a line."""
    return str(exc).splitlines()[0] if str(exc) else type(exc).__name__


def _part_files(folder: Path, name: str) -> list[Path]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise StoreError(
            f"{folder}: cannot be listed: {exc.strerror}", hint="it is a folder of yours that hpc-qa ledger sync makes"
        ) from exc
    return [folder / one for one in names if one.startswith(f"part-{name}-") and one.endswith(".parquet")]


def version_of(schema: pa.Schema) -> int:
    """The version that wrote a file with this schema.

    Raises:
        ValueError: it does not say one, so it is none of ours.
    """
    said = (schema.metadata or {}).get(VERSION_KEY)
    if said is None:
        raise ValueError("not written by hpc_qa")
    return int(said)


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with these columns; those that it lacks are null."""
    if table.schema.equals(schema):  # the rule, and there may be thousands of files
        return table
    arrays = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
