"""Attempts: one row each time something new is known of one, and a view of what is known now.

The newest row of an attempt counts, a final one before any that is not.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.ledger.latest import latest
from hpc_qa.ledger.parts import Parts, read_parts, writable, write_part
from hpc_qa.ledger.same_attempt import COLUMNS, may_be_mixed, named_alike
from hpc_qa.ledger.schema import ATTEMPT

TABLE = "attempt"
KEY = ("cluster", "attempt_id")
ORDER = ("is_final", "observed_at")


def current(project: Path, columns: Sequence[str] | None = None) -> Parts:
    """What is known now: one row for each attempt, in no certain order.

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    wanted = list(columns or ATTEMPT.names)
    needed = list(dict.fromkeys((*KEY, *ORDER, "folder", *wanted)))
    parts = read_parts(project, TABLE, needed)
    if may_be_mixed(parts.table):  # seldom, so that the columns which tell are not read otherwise
        parts = read_parts(project, TABLE, list(dict.fromkeys((*needed, *COLUMNS))))
        parts = replace(parts, table=named_alike(parts.table))
    return replace(parts, table=_known_since(latest(parts.table, KEY, ORDER)).select(wanted))


def of_budget(table: pa.Table, clusters: Sequence[str]) -> pa.ChunkedArray:
    """Which rows are charged: on these clusters, or on any where none is named, and never of this machine."""
    counts = pc.invert(pc.equal(table.column("source"), "local"))
    if clusters:
        cluster = table.column("cluster")
        counts = pc.and_(counts, pc.or_(pc.is_null(cluster), pc.is_in(cluster, value_set=pa.array(clusters))))
    return counts


def _known_since(table: pa.Table) -> pa.Table:
    """Without folders that accounting did not know when they were written down, and does by now."""
    folders, ids = table.column("folder"), table.column("attempt_id")
    alone = pc.equal(folders, ids)
    if not pc.any(alone).as_py():
        return table
    alone = pc.fill_null(alone, False)
    others = pc.drop_null(folders.filter(pc.invert(alone)))
    return table.filter(pc.invert(pc.and_(alone, pc.is_in(folders, value_set=others.combine_chunks()))))


def add_new(project: Path, table: pa.Table) -> tuple[Path | None, int, tuple[str, ...]]:
    """Write the rows of which something is not known yet: (the file, how many rows, files that could not be read).

    Raises:
        StoreError: the ledger cannot be written, or a later version of the program has written it.
    """
    # all rows: an old capture that is read again is not news
    known = writable(read_parts(project, TABLE, (*KEY, "row_sha256")))
    fresh = table.filter(pc.invert(pc.is_in(_what(table), value_set=_what(known.table))))
    path = write_part(project, TABLE, fresh) if fresh.num_rows else None
    return path, fresh.num_rows, known.skipped


def _what(table: pa.Table) -> pa.ChunkedArray:
    """What a row says of which attempt, as one text."""
    columns = (table.column(name) for name in (*KEY, "row_sha256"))
    return pc.binary_join_element_wise(*columns, "\x1f", null_handling="replace")


def as_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows for JSON, in the order in which they were submitted; times as ISO 8601 in UTC."""
    keys = [name for name in ("submit", "job_id_raw", "attempt_id") if name in table.column_names]
    table = table.sort_by([(name, "ascending") for name in keys]) if keys else table
    columns = {}
    for field in table.schema:
        values = table.column(field.name)
        if pa.types.is_timestamp(field.type):
            values = pc.strftime(values, format="%Y-%m-%dT%H:%M:%SZ")
        found = values.to_pylist()
        columns[field.name] = _maps(found) if pa.types.is_map(field.type) else found
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _maps(values: list[Any]) -> list[dict[str, Any] | None]:
    return [None if value is None else dict(value) for value in values]
