"""Sums over the attempts of the ledger: what was allocated, to which runs, how it ended, and where its time went.

GPU-hours here are allocated ones: GPUs times elapsed of every attempt, also of those that failed or were requeued.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.budget.waterfall import STAGES
from hpc_qa.ledger.attempts import current

COLUMNS = ("cluster", "source", "run_id", "state", "gpu_count", "gpu_hours_allocated", "stages_ms")
NOT_MARKED = "not marked"  # attempts without a folder of ours, or that still run
MS_PER_HOUR = 3_600_000


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
    frame = found.table.drop_columns(["stages_ms"]).to_pandas()
    local = frame["source"] == "local"
    counts = ~local & (frame["cluster"].isin(clusters) | frame["cluster"].isna() if clusters else True)
    charged = frame[counts]
    return Usage(
        charged=_used(charged),
        local=_used(frame[local]),
        by_run={str(name): _used(rows) for name, rows in frame[counts | local].groupby("run_id", sort=False)},
        by_state={str(name): _used(rows) for name, rows in charged.groupby("state")},
        by_stage=_by_stage(found.table.filter(pa.array(counts)), float(charged["gpu_hours_allocated"].sum())),
        skipped=found.skipped,
    )


def _used(rows: pd.DataFrame) -> Used:
    hours = rows["gpu_hours_allocated"]
    return Used(len(rows), float(hours.sum()), int(hours.isna().sum()))


def _by_stage(table: pa.Table, hours: float) -> dict[str, float]:
    """GPU-hours by stage; what has no marks is one of its own."""
    gpus = table.column("gpu_count")
    found: dict[str, float] = {}
    for stage in STAGES:
        ms = pc.map_lookup(table.column("stages_ms"), pa.scalar(stage), "first")
        found[stage] = (pc.sum(pc.multiply(ms, gpus)).as_py() or 0) / MS_PER_HOUR
    return found | {NOT_MARKED: hours - sum(found.values())}
