"""One attempt under several names: captured with and without the columns Cluster and SLUID.

Accounting gives JobIDRaw and Submit to one allocation of a cluster, so that rows which agree in both are of one attempt
where one of them lacks the cluster or the SLUID, and the others name one. They are named alike before the newest of
them counts. Where the others name several, nobody can tell which is meant: such rows stay apart, and that is said.
"""

import functools
import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

log = logging.getLogger("hpc_qa.ledger")

COLUMNS = ("source", "job_id_raw", "submit")
JOB = ["job_id_raw", "submit"]


def may_be_mixed(table: pa.Table) -> bool:
    """Whether some rows have a cluster, or a SLUID, and others have none; by the columns of the key alone."""
    cluster = table.column("cluster")
    if 0 < cluster.null_count < table.num_rows:
        return True
    return bool(pc.count_distinct(_is_plain(table.column("attempt_id"))).as_py() > 1)


def named_alike(table: pa.Table) -> pa.Table:
    """The rows with cluster and attempt_id as the other rows of the same attempt have them."""
    ids = table.column("attempt_id")
    plain = _is_plain(ids)
    nothing = pa.scalar(None, pa.string())
    names = pa.table(
        {
            "row": pa.array(np.arange(table.num_rows)),
            **{name: table.column(name) for name in (*JOB, "cluster")},
            "sluid": pc.if_else(plain, nothing, ids),
            "plain": pc.if_else(plain, ids, nothing),
        }
    )
    known = pc.and_(*(pc.is_valid(table.column(name)) for name in JOB))
    names = names.filter(pc.and_(pc.equal(table.column("source"), "sacct"), known))
    jobs = names.group_by(JOB).aggregate(
        [("row", "count"), ("cluster", "count"), ("plain", "count"),
         *((name, how) for name in ("cluster", "sluid", "plain") for how in ("count_distinct", "max"))]
    )  # fmt: skip
    distinct = {name: jobs.column(f"{name}_count_distinct") for name in ("cluster", "sluid", "plain")}
    lacks_cluster = pc.less(jobs.column("cluster_count"), jobs.column("row_count"))
    lacks_sluid = pc.greater(jobs.column("plain_count"), 0)
    mixed = pc.or_(
        pc.and_(lacks_cluster, pc.greater(distinct["cluster"], 0)),
        pc.and_(lacks_sluid, pc.greater(distinct["sluid"], 0)),
    )
    several = pc.or_(
        pc.greater(distinct["cluster"], 1),
        pc.and_(
            pc.greater(distinct["sluid"], 0), pc.or_(pc.greater(distinct["sluid"], 1), pc.greater(distinct["plain"], 1))
        ),
    )
    if unsure := pc.sum(pc.cast(pc.and_(mixed, several), pa.int64()), min_count=0).as_py():
        _say_once(
            f"{unsure:,} jobs were captured with and without Cluster or SLUID, and it is not certain which rows are of "
            "one attempt: they may count more than once"
        )
    certain = jobs.filter(pc.and_(mixed, pc.invert(several)))
    return _renamed(table, names.join(certain, JOB, join_type="inner").sort_by("row")) if certain.num_rows else table


def _is_plain(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether an attempt is named by JobIDRaw and submit time; a SLUID has no colon."""
    return pc.match_substring(ids, ":")


def _renamed(table: pa.Table, names: pa.Table) -> pa.Table:
    mask = np.zeros(table.num_rows, dtype=bool)
    mask[names.column("row").to_numpy()] = True
    ours = {
        "cluster": pc.coalesce(names.column("cluster"), names.column("cluster_max")),
        "attempt_id": pc.coalesce(names.column("sluid_max"), names.column("plain"), names.column("sluid")),
    }
    for name, column in ours.items():
        whole = pc.replace_with_mask(
            table.column(name).combine_chunks(), pa.array(mask), column.cast(pa.string()).combine_chunks()
        )
        table = table.set_column(table.column_names.index(name), name, whole)
    return table


@functools.cache
def _say_once(words: str) -> None:
    log.warning(words)
