"""Attempts: one row each time something new is known of one, and a view of what is known now.

The newest row of an attempt counts, a final one before any that is not.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.errors import StoreError
from hpc_qa.ledger.parts import Parts, read_parts, write_part
from hpc_qa.ledger.schema import ATTEMPT

TABLE = "attempt"
KEY = ("cluster", "attempt_id")
ORDER = ("is_final", "observed_at")


def current(project: Path, columns: Sequence[str] | None = None) -> Parts:
    """What is known now: one row for each attempt, in the order in which they were submitted.

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    wanted = list(columns or ATTEMPT.names)
    needed = (*KEY, *ORDER, "submit", "job_id_raw", "folder")
    parts = read_parts(project, TABLE, list(dict.fromkeys((*needed, *wanted))))
    frame = parts.table.select(needed).to_pandas()
    newest = frame.sort_values(list(ORDER), kind="stable").drop_duplicates(list(KEY), keep="last")
    alone = newest["attempt_id"] == newest["folder"]  # accounting did not know it
    known_since = alone & newest["folder"].isin(newest.loc[~alone, "folder"].dropna())
    rows = newest[~known_since].sort_values(["submit", "job_id_raw"], kind="stable").index
    table = parts.table.take(pa.array(rows, pa.int64())).select(wanted)
    return Parts(table, parts.skipped, parts.newest_version)


def add_new(project: Path, table: pa.Table) -> tuple[Path | None, int, tuple[str, ...]]:
    """Write the rows of which something is not known yet: (the file, how many rows, files that could not be read).

    Raises:
        StoreError: the ledger cannot be written, or a later version of the program has written it.
    """
    known = current(project, (*KEY, "row_sha256"))
    if known.is_newer:
        raise StoreError(
            f"the ledger was written by a later version of hpc_qa (schema {known.newest_version})",
            hint="use that version; this one only reads it",
        )
    fresh = table.filter(pc.invert(pc.is_in(_what(table), value_set=_what(known.table))))
    path = write_part(project, TABLE, fresh) if fresh.num_rows else None
    return path, fresh.num_rows, known.skipped


def _what(table: pa.Table) -> pa.ChunkedArray:
    """What a row says of which attempt, as one text."""
    columns = (table.column(name) for name in (*KEY, "row_sha256"))
    return pc.binary_join_element_wise(*columns, "\x1f", null_handling="replace")


def as_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows for JSON: times as ISO 8601 in UTC."""
    columns = {}
    for field in table.schema:
        values = table.column(field.name)
        if pa.types.is_timestamp(field.type):
            values = pc.strftime(values, format="%Y-%m-%dT%H:%M:%SZ")
        columns[field.name] = values.to_pylist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
