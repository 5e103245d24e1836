"""Documents: what each of them took and gave, written down once when its shard is committed.

A shard that was opened again and committed anew is written once more; the later rows count. A document that several
runs worked on has rows in each of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.ledger.latest import latest
from hpc_qa.ledger.parts import Parts, read_parts, writable, write_part
from hpc_qa.ledger.schema import DOCUMENT

TABLE = "document"
COMMIT = ("run_id", "shard", "committed_by")


def known_commits(project: Path) -> set[tuple[str, int, str]]:
    """(run, shard, attempt that committed it) of all that is written down.

    Raises:
        StoreError: the ledger cannot be listed, or a later version of the program has written it.
    """
    table = writable(read_parts(project, TABLE, COMMIT)).table
    return set(zip(*(column.to_pylist() for column in table.group_by(list(COMMIT)).aggregate([]).columns), strict=True))


def add(project: Path, rows: Sequence[dict[str, object]]) -> Path | None:
    """Write these documents, as columns of the table by name; the file, None when there are no rows.

    Raises:
        StoreError: the ledger cannot be written.
    """
    return write_part(project, TABLE, pa.Table.from_pylist(list(rows), schema=DOCUMENT)) if rows else None


def of_runs(project: Path, runs: Iterable[str]) -> Parts:
    """The documents of these runs, one row for each document of a run: that of the latest commit.

    Raises:
        StoreError: the ledger cannot be listed.
    """
    parts = read_parts(project, TABLE, DOCUMENT.names)
    table = parts.table.filter(pc.is_in(parts.table.column("run_id"), value_set=pa.array(list(runs), pa.string())))
    return replace(parts, table=latest(table, ("run_id", "doc_id"), ("observed_at",)))
