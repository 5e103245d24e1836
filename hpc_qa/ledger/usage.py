"""Sums over the attempts of the ledger: what was allocated, to which runs, how it ended, and where its time went.

GPU-hours here are allocated ones: GPUs times elapsed of every attempt, also of those that failed or were requeued.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.budget.waterfall import STAGES
from hpc_qa.ledger.attempts import current

COLUMNS = ("cluster", "source", "run_id", "state", "gpu_count", "gpu_hours_allocated", "stages_ms")
NOT_MARKED = "not marked"  # attempts without a folder of ours, or that still run
MS_PER_HOUR = 3_600_000
ROWS_AT_ONCE = 65_536  # less memory is less time


@dataclass(frozen=True, slots=True)
class Used:
    """Some attempts, summed up."""

    attempts: int
    gpu_hours: float
    unknown: int  # attempts of which it is not known what they held; they are in no sum

    def to_json(self) -> dict[str, Any]:
        return {"attempts": self.attempts, "gpu_hours": self.gpu_hours, "attempts_unknown": self.unknown}


@dataclass(frozen=True, slots=True)
class Usage:
    """What the ledger says was used."""

    charged: Used  # on the clusters of the budget
    local: Used  # on this machine: recorded, never charged
    by_run: dict[str, Used]
    by_state: dict[str, Used]
    by_stage: dict[str, float]  # GPU-hours; they sum to those that are charged
    skipped: tuple[str, ...]  # files of the ledger that were left out

    @property
    def attempts(self) -> int:
        """All of them, charged or not."""
        return self.charged.attempts + self.local.attempts

    def to_json(self) -> dict[str, Any]:
        """As `budget --json` prints it; shares are of what is charged."""
        hours = self.charged.gpu_hours
        return {
            "used": self.charged.to_json(),
            "local": self.local.to_json(),
            "runs": [{"run": name} | used.to_json() for name, used in self.by_run.items()],
            "states": [{"state": name} | used.to_json() for name, used in self.by_state.items()],
            "stages": [
                {"stage": name, "gpu_hours": spent, "share": spent / hours if hours else None}
                for name, spent in self.by_stage.items()
            ],
        }


def usage(project: Path, clusters: Sequence[str] = ()) -> Usage:
    """What was used so far; of these clusters alone, when any are named.

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    found = current(project, COLUMNS)
    table = found.table
    local = pc.equal(table.column("source"), "local")
    counts = pc.invert(local)
    if clusters:
        cluster = table.column("cluster")
        counts = pc.and_(counts, pc.or_(pc.is_null(cluster), pc.is_in(cluster, value_set=pa.array(clusters))))
    charged = _where(table, counts)
    return Usage(
        charged=_used(charged),
        local=_used(table.filter(local)),
        by_run=_by("run_id", _where(table, pc.or_(counts, local))),
        by_state=_by("state", charged),
        by_stage=_by_stage(charged),
        skipped=found.skipped,
    )


def used_by_living(project: Path) -> dict[tuple[str, int], float]:
    """GPU-hours, as far as they were captured, of attempts that had not ended, by run and shard.

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    table = current(project, ("run_id", "shard", "is_final", "gpu_hours_allocated")).table
    used: Counter[tuple[str, int]] = Counter()
    for row in table.filter(pc.invert(pc.fill_null(table.column("is_final"), True))).to_pylist():
        if row["run_id"] is not None and row["gpu_hours_allocated"] is not None:
            used[row["run_id"], row["shard"]] += row["gpu_hours_allocated"]
    return dict(used)


def _where(table: pa.Table, mask: pa.ChunkedArray) -> pa.Table:
    """The rows of the mask; usually all of them, and then nothing is copied."""
    return table if pc.all(mask).as_py() else table.filter(mask)


def _used(table: pa.Table) -> Used:
    hours = table.column("gpu_hours_allocated")
    return Used(table.num_rows, pc.sum(hours, min_count=0).as_py(), hours.null_count)


def _by(name: str, table: pa.Table) -> dict[str, Used]:
    """The same for each value of a column, in alphabetical order."""
    hours = "gpu_hours_allocated"
    sums: list[Any] = [(hours, "sum", pc.ScalarAggregateOptions(min_count=0)), (hours, "count"), ([], "count_all")]
    named = _where(table.select([name, hours]), pc.is_valid(table.column(name)))
    rows = named.group_by(name).aggregate(sums).sort_by(name).to_pylist()
    return {
        row[name]: Used(row["count_all"], row[f"{hours}_sum"], row["count_all"] - row[f"{hours}_count"]) for row in rows
    }


def _by_stage(table: pa.Table) -> dict[str, float]:
    """GPU-hours by stage; what has no marks is one of its own."""
    sums: Counter[str] = Counter()
    for chunk in table.select(["stages_ms", "gpu_count"]).to_batches(ROWS_AT_ONCE):
        stages, gpus = chunk.column(0), chunk.column(1)
        ends = stages.offsets.to_numpy()
        names = stages.keys[ends[0] : ends[-1]].dictionary_encode()
        milliseconds = stages.items[ends[0] : ends[-1]].to_numpy()
        weights = milliseconds * np.repeat(np.nan_to_num(gpus.to_numpy(zero_copy_only=False)), np.diff(ends))
        spent = np.bincount(names.indices.to_numpy(), weights, minlength=len(names.dictionary)) / MS_PER_HOUR
        sums.update(dict(zip(names.dictionary.to_pylist(), spent.tolist(), strict=True)))
    found = dict.fromkeys(STAGES, 0.0) | dict(sums)
    return found | {NOT_MARKED: _used(table).gpu_hours - sum(found.values())}
