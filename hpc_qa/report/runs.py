"""What each run took and gave, and what an accepted pair took: GPU-hours, or time, core-hours and tokens on CPUs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.budget.cost import PerPair, per_accepted_pair
from hpc_qa.campaign import figures
from hpc_qa.config import Charging
from hpc_qa.errors import StoreError
from hpc_qa.ledger import documents
from hpc_qa.ledger.attempts import current
from hpc_qa.store.run_directory import RunDirectory


@dataclass(frozen=True, slots=True)
class RunOutput:
    """What the committed shards of a run gave."""

    documents: int = 0
    accepted: int = 0  # pairs
    computed_tokens: int = 0  # prompt tokens without cache hits, and completion tokens


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run."""

    run: str
    attempts: int
    gpu_hours: float | None  # allocated; recorded and not charged where it ran on this machine
    output: RunOutput
    per_pair: PerPair

    def to_json(self) -> dict[str, Any]:
        """A row of `budget --json`."""
        return {
            "run": self.run,
            "attempts": self.attempts,
            "gpu_hours": self.gpu_hours,
            "documents": self.output.documents,
            "accepted": self.output.accepted,
            "per_accepted_pair": self.per_pair.to_json(),
        }


def outputs(project: Path, runs: Sequence[RunDirectory]) -> dict[str, RunOutput]:
    """What these runs gave, by the ledger.

    Raises:
        StoreError: the ledger cannot be listed.
    """
    found = documents.of_runs(project, [run.run_id for run in runs]).table.group_by("run_id")
    sums = found.aggregate([("doc_id", "count"), ("accepted", "sum"), ("computed_tokens", "sum")]).to_pylist()
    return {
        row["run_id"]: RunOutput(row["doc_id_count"], row["accepted_sum"] or 0, row["computed_tokens_sum"] or 0)
        for row in sums
    }


def run_rows(
    project: Path, runs: Sequence[RunDirectory], gave: Mapping[str, RunOutput], rule: Charging | None,
    charged: Mapping[str, float],
) -> list[RunRow]:  # fmt: skip
    """A row for each of these runs that the ledger knows, oldest first; `charged` are GPU-hours by run.

    Raises:
        StoreError: the ledger cannot be listed.
    """
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if runs:
        table = current(project, figures.COLUMNS).table
        names = pa.array([run.run_id for run in runs], pa.string())
        for row in table.filter(pc.is_in(table.column("run_id"), value_set=names)).to_pylist():
            rows[row["run_id"]].append(row)
    return [_row(run, rows[run.run_id], gave, rule, charged) for run in runs if rows[run.run_id]]


def _row(
    run: RunDirectory, attempts: Sequence[dict[str, Any]], gave: Mapping[str, RunOutput], rule: Charging | None,
    charged: Mapping[str, float],
) -> RunRow:  # fmt: skip
    spent = figures.spent_of(attempts, _cpus_here(run))
    output = gave.get(run.run_id, RunOutput())
    rate = rule.rate_per_gpu_hour if rule else None
    each = per_accepted_pair(
        gpu_hours=spent.gpu_hours,
        energy_kwh=spent.energy_kwh,
        money=rate * charged[run.run_id] if rate is not None and run.run_id in charged else None,
        wall_hours=None if spent.total_time_minutes is None else spent.total_time_minutes / 60,
        core_hours=spent.core_hours,
        tokens=output.computed_tokens,
        pairs=output.accepted,
        **({"currency": rule.currency} if rule else {}),
    )
    return RunRow(run.run_id, len(attempts), spent.gpu_hours, output, each)


def _cpus_here(run: RunDirectory) -> float | None:
    try:
        return figures.local_cpus(run.facts(), len(run.frozen_plan()["shards"]))
    except StoreError:  # unreadable: hpc-qa status says so
        return None
