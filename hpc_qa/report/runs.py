"""What each run took and gave, and what an accepted pair took: GPU-hours, or time, core-hours and tokens on CPUs."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    spent: figures.Spent
    output: RunOutput
    per_pair: PerPair
    money: float | None
    span: tuple[datetime, datetime] | None  # first start to last end; None: not known, or it goes on
    local: bool  # it ran on this machine
    clusters: frozenset[str]  # on which it ran, as far as that is known

    @property
    def gpu_hours(self) -> float | None:
        """Allocated; recorded and not charged where it ran on this machine."""
        return self.spent.gpu_hours

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
        table = current(project, (*figures.COLUMNS, "cluster")).table
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
    money = rate * charged[run.run_id] if rate is not None and run.run_id in charged else None
    each = per_accepted_pair(
        gpu_hours=spent.gpu_hours,
        energy_kwh=spent.energy_kwh,
        money=money,
        wall_hours=None if spent.total_time_minutes is None else spent.total_time_minutes / 60,
        core_hours=spent.core_hours,
        tokens=output.computed_tokens,
        pairs=output.accepted,
        **({"currency": rule.currency} if rule else {}),
    )
    return RunRow(
        run=run.run_id,
        attempts=len(attempts),
        spent=spent,
        output=output,
        per_pair=each,
        money=money,
        span=None if spent.total_time_minutes is None else _span(attempts),
        local=all(row["source"] == "local" for row in attempts),
        clusters=frozenset(row["cluster"] for row in attempts if row["cluster"] is not None),
    )


def _span(attempts: Sequence[dict[str, Any]]) -> tuple[datetime, datetime]:
    held = [row for row in attempts if row["start"] is not None and row["elapsed_s"]]
    return min(row["start"] for row in held), max(row["end"] for row in held)


def per_pair_of_all(rows: Sequence[RunRow], clusters: Collection[str], rule: Charging | None) -> PerPair:
    """What an accepted pair took of the runs on these clusters (on any, where none is named), all campaigns together.

    Where no run was on a cluster, of those on this machine. What is not known of each of these runs is None, so that
    what was taken and what it gave are always of the same runs.
    """
    on_clusters = [row for row in rows if not row.local and (not clusters or row.clusters <= set(clusters))]
    counted = on_clusters or [row for row in rows if row.local]
    return per_accepted_pair(
        gpu_hours=_sum(row.spent.gpu_hours for row in counted),
        energy_kwh=_sum(row.spent.energy_kwh for row in counted),
        money=_sum(row.money for row in counted),
        wall_hours=_hours_of(row.span for row in counted),
        core_hours=_sum(row.spent.core_hours for row in counted),
        tokens=_sum(row.output.computed_tokens for row in counted),
        pairs=sum(row.output.accepted for row in counted),
        **({"currency": rule.currency} if rule else {}),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum; None of nothing, and where one of them is not known."""
    known = list(values)
    return None if not known or None in known else math.fsum(value or 0.0 for value in known)


def _hours_of(spans: Iterable[tuple[datetime, datetime] | None]) -> float | None:
    """Hours during which at least one run went on; None where that is not known of one."""
    hours, until = 0.0, None
    every = list(spans)
    for start, end in sorted(span for span in every if span is not None):
        begins = start if until is None else max(start, until)
        hours += max(0.0, (end - begins).total_seconds()) / 3600
        until = end if until is None else max(until, end)
    return None if not every or None in every else hours


def _cpus_here(run: RunDirectory) -> float | None:
    try:
        return figures.local_cpus(run.facts(), len(run.frozen_plan()["shards"]))
    except StoreError:  # unreadable: hpc-qa status says so
        return None
