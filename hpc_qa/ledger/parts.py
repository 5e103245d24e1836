"""Part files of a table: one writer each, published whole, never changed.

    ledger/attempt/part-attempt-HOST-PID-UUID.parquet

No locks, no shared file: two commands at once write two files. A reader that meets a file which is not whole, or not
ours, leaves it out and names it.
"""

import os
import platform
import re
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hpc_qa.errors import StoreError
from hpc_qa.ledger.schema import TABLES, VERSION, VERSION_KEY

FOLDER = "ledger"
READ_AT_ONCE = 4  # there may be thousands


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
    if parts.is_newer:
        raise StoreError(
            f"the ledger was written by a later version of hpc_qa (schema {parts.newest_version})",
            hint="use that version; this one only reads it",
        )
    return parts


def write_part(project: Path, name: str, table: pa.Table) -> Path:
    """Publish rows as one more part file.

    Raises:
        StoreError: it could not be written.
    """
    stamped = table.cast(TABLES[name]).replace_schema_metadata({VERSION_KEY: str(VERSION).encode()})
    folder = project / FOLDER / name
    host = re.sub(r"[^A-Za-z0-9.]", "", platform.node()) or "host"
    path = folder / f"part-{name}-{host}-{os.getpid()}-{uuid.uuid4().hex}.parquet"
    temporary = folder / f".tmp-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            pq.write_table(stamped, stream, compression="zstd")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)  # the name is ours alone, so nothing is replaced
        _sync(folder)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"{path}: cannot write: {exc.strerror or exc}", hint="look for a full disk or a quota (df, quota)"
        ) from exc
    return path


def read_parts(project: Path, name: str, columns: Sequence[str]) -> Parts:
    """These columns of every part file; a column that a file lacks is null.

    Raises:
        StoreError: the folder cannot be listed.
    """
    folder = project / FOLDER / name
    schema = pa.schema([TABLES[name].field(column) for column in columns])
    tables, skipped, newest = [], [], VERSION
    files = _part_files(folder, name)
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        for path, found in zip(files, pool.map(lambda one: _read(one, schema), files), strict=True):
            if isinstance(found, str):
                skipped.append(f"{path.name}: {found}")
            else:
                tables.append(found[0])
                newest = max(newest, found[1])
    whole = pa.concat_tables(tables) if tables else schema.empty_table()
    return Parts(whole, tuple(skipped), newest)


def _read(path: Path, schema: pa.Schema) -> tuple[pa.Table, int] | str:
    """Columns and version of one file, or why it is left out."""
    try:
        file = pq.ParquetFile(path)
        has = [column for column in schema.names if column in file.schema_arrow.names]
        version = _version(file)
        table = file.read(columns=has, use_threads=False).select(has)
        return _conformed(table.replace_schema_metadata(None), schema), version
    except (OSError, ValueError, pa.ArrowException) as exc:
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


def _version(file: pq.ParquetFile) -> int:
    """The version that wrote a file.

    Raises:
        ValueError: it does not say one, so it is none of ours.
    """
    said = (file.schema_arrow.metadata or {}).get(VERSION_KEY)
    if said is None:
        raise ValueError("not written by hpc_qa")
    return int(said)


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
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
