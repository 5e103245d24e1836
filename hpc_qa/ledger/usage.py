"""Sums over the attempts of the ledger: what was allocated and charged, to which runs, how it ended, where it went.

Every attempt counts, also those that failed or were requeued. What ran on this machine is recorded and never charged.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.budget.charging import (
    accounted,
    charged_column,
    columns_for,
    counted_column,
    is_not_accounted,
    is_plain,
)
from hpc_qa.budget.reconciliation import Reconciliation
from hpc_qa.config import Site
from hpc_qa.ledger import reconciliation, stages
from hpc_qa.ledger.attempts import current, of_budget
from hpc_qa.units import iso, number, plural

HOURS, CHARGED = "gpu_hours_allocated", "gpu_hours_charged"
COLUMNS = (
    "cluster", "source", "gpus_asked", "run_id", "state", "cpus", "elapsed_s", "cpu_efficiency", "memory_efficiency",
    "gpu_utilization", "gpu_energy_j", "observed_at", HOURS, *stages.COLUMNS,
)  # fmt: skip
REMEDY = "AccountingStorageTRES in slurm.conf has to name gres/gpu: ask the site"
NOT_MARKED = "not marked"  # attempts without a folder of ours, or that still run
SECONDS, JOULES_PER_KWH = 3600, 3.6e6


@dataclass(frozen=True, slots=True)
class Used:
    """Some attempts, summed up."""

    attempts: int
    gpu_hours: float
    unknown: int  # attempts of which it is not known what they held; they are in no sum

    @property
    def known_gpu_hours(self) -> float | None:
        """GPU-hours; None where it is not known of any of them."""
        return None if self.unknown and self.unknown == self.attempts else self.gpu_hours

    def to_json(self) -> dict[str, Any]:
        return {"attempts": self.attempts, "gpu_hours": self.known_gpu_hours, "attempts_unknown": self.unknown}


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Means over attempts, shares from 0 to 1; None where nothing is known."""

    cpu_efficiency: float | None  # weighted by core-hours
    memory_efficiency: float | None  # weighted by core-hours
    gpu_utilization: float | None  # weighted by GPU-hours


@dataclass(frozen=True, slots=True)
class Usage:
    """What the ledger says was used. GPU-hours are allocated ones, but for `charged`."""

    charged: Used  # on the clusters of the budget, by the site's rule
    allocated: Used  # the same attempts
    as_asked: Used  # of the charged ones those that accounting has no GPUs of: they count by what they asked for
    charged_by_run: dict[str, float]  # GPU-hours
    not_charged: dict[str, int]  # attempts whose charge is not known and that count as allocated, by reason
    local: Used  # on this machine: recorded, never charged
    by_run: dict[str, Used]
    by_state: dict[str, Used]
    efficiency: dict[str, Efficiency]  # by state
    by_stage: dict[str, float]  # GPU-hours; they sum to those that are allocated
    reconciliation: Reconciliation
    energy_kwh: float | None  # of the GPUs that were sampled
    as_of: datetime | None  # when accounting was read last; None: never
    skipped: tuple[str, ...]  # files of the ledger that were left out

    @property
    def attempts(self) -> int:
        """All of them, charged or not."""
        return self.charged.attempts + self.local.attempts

    def to_json(self) -> dict[str, Any]:
        """As `budget --json` prints it; shares are of what is allocated."""
        hours = self.allocated.gpu_hours
        return {
            "as_of": iso(self.as_of) if self.as_of else None,
            "used": self.charged.to_json(),
            "allocated": self.allocated.to_json(),
            "counted_as_asked": self.as_asked.to_json(),
            "local": self.local.to_json(),
            "runs": [{"run": name} | used.to_json() for name, used in self.by_run.items()],
            "states": [
                {"state": name} | used.to_json() | asdict(self.efficiency[name]) for name, used in self.by_state.items()
            ],
            "stages": [
                {"stage": name, "gpu_hours": spent, "share": spent / hours if hours else None}
                for name, spent in self.by_stage.items()
            ],
            "reconciliation": self.reconciliation.to_json(),
            "energy_kwh": self.energy_kwh,
        }


def usage(project: Path, clusters: Sequence[str] = (), site: Site | None = None) -> Usage:
    """What was used so far; of these clusters alone, when any are named. `site` says what is charged.

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    found = current(project, tuple(dict.fromkeys((*COLUMNS, *reconciliation.columns(site)))))
    table = found.table
    local = pc.equal(table.column("source"), "local")
    counts = of_budget(table, clusters)
    charged_ones = _where(table, counts)
    ours = accounted(charged_ones)
    by_state = _by("state", ours)
    hours = stages.by_stage(ours)
    joules = ours.column("gpu_energy_j")
    return Usage(
        charged=_used(counted_column(site, charged_ones)),
        charged_by_run=_charged_by_run(site, charged_ones),
        as_asked=_as_asked(site, charged_ones),
        not_charged=_not_charged(site, ours),
        allocated=_used(ours.column(HOURS)),
        local=_used(table.filter(local).column(HOURS)),
        by_run=_by("run_id", accounted(_where(table, pc.or_(counts, local)))),
        by_state=by_state,
        efficiency=_efficiencies(ours, by_state),
        by_stage=hours | {NOT_MARKED: _difference(_used(ours.column(HOURS)).gpu_hours, sum(hours.values()))},
        reconciliation=reconciliation.reconcile_table(site, ours),
        energy_kwh=None if joules.null_count == len(joules) else pc.sum(joules).as_py() / JOULES_PER_KWH,
        as_of=pc.max(table.column("observed_at")).as_py(),
        skipped=found.skipped,
    )


def charged(project: Path, clusters: Sequence[str] = (), site: Site | None = None) -> tuple[Used, tuple[str, ...]]:
    """(what was charged so far, files of the ledger that were left out).

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    found = current(project, tuple(dict.fromkeys(("cluster", *columns_for(site)))))
    ours = _where(found.table, of_budget(found.table, clusters))
    notes = (*words_of(_not_charged(site, accounted(ours))), *words_of_asked(_as_asked(site, ours)))
    return _used(counted_column(site, ours)), (*found.skipped, *notes)


def used_by_living(project: Path, site: Site | None = None) -> dict[tuple[str, int], float]:
    """GPU-hours that are charged, as far as captured, for attempts that had not ended, by run and shard.

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    names = ("run_id", "shard", "is_final", *columns_for(site))
    table = current(project, tuple(dict.fromkeys(names))).table
    living = table.filter(pc.invert(pc.fill_null(table.column("is_final"), True)))
    rows = living.append_column(CHARGED, counted_column(site, living)).to_pylist()
    used: Counter[tuple[str, int]] = Counter()
    for row in rows:
        if row["run_id"] is not None and row[CHARGED] is not None:
            used[row["run_id"], row["shard"]] += row[CHARGED]
    return dict(used)


def words_of(not_charged: Mapping[str, int]) -> list[str]:
    """What is to be said of attempts whose charge is not known."""
    return [
        f"what is charged is not known of {plural(count, 'attempt')} ({reason}); they count as allocated"
        for reason, count in not_charged.items()
    ]


def words_of_asked(as_asked: Used) -> list[str]:
    """What is to be said of attempts that accounting has no GPUs of."""
    if not as_asked.attempts:
        return []
    what = f"accounting has no GPUs of {plural(as_asked.attempts, 'attempt')} that asked for some"
    return [f"{what}; they count by what they asked for, {number(as_asked.gpu_hours)} GPU-hours. {REMEDY}"]


def _as_asked(site: Site | None, table: pa.Table) -> Used:
    return _used(counted_column(site, table).filter(is_not_accounted(table)))


def _not_charged(site: Site | None, table: pa.Table) -> dict[str, int]:
    unknown = pc.and_(pc.is_null(charged_column(site, table)), pc.is_valid(table.column(HOURS)))
    if is_plain(site) or not pc.any(unknown).as_py():
        return {}
    return reconciliation.reasons_in_words(site, table.filter(unknown))


def _charged_by_run(site: Site | None, table: pa.Table) -> dict[str, float]:
    named = pa.table({"run": table.column("run_id"), "hours": counted_column(site, table)}).group_by("run")
    sums = named.aggregate([("hours", "sum")]).to_pylist()
    return {row["run"]: row["hours_sum"] or 0.0 for row in sums if row["run"] is not None}


def _where(table: pa.Table, mask: pa.ChunkedArray) -> pa.Table:
    """The rows of the mask; usually all of them, and then nothing is copied."""
    return table if pc.all(mask).as_py() else table.filter(mask)


def _used(hours: pa.ChunkedArray) -> Used:
    return Used(len(hours), pc.sum(hours, min_count=0).as_py(), hours.null_count)


def _by(name: str, table: pa.Table) -> dict[str, Used]:
    """The same for each value of a column, in alphabetical order."""
    sums: list[Any] = [(HOURS, "sum", pc.ScalarAggregateOptions(min_count=0)), (HOURS, "count"), ([], "count_all")]
    named = _where(table.select([name, HOURS]), pc.is_valid(table.column(name)))
    rows = named.group_by(name).aggregate(sums).sort_by(name).to_pylist()
    return {
        row[name]: Used(row["count_all"], row[f"{HOURS}_sum"], row["count_all"] - row[f"{HOURS}_count"]) for row in rows
    }


def _difference(whole: float, parts: float) -> float:
    """What the parts lack; nothing where that is rounding."""
    return 0.0 if math.isclose(whole, parts, rel_tol=1e-9, abs_tol=1e-9) else whole - parts


def _core_hours(table: pa.Table) -> pa.ChunkedArray:
    return pc.divide(pc.multiply(pc.cast(table.column("cpus"), pa.float64()), table.column("elapsed_s")), SECONDS)


def _efficiencies(table: pa.Table, states: dict[str, Used]) -> dict[str, Efficiency]:
    """Weighted means by state."""
    core_hours, gpu_hours = _core_hours(table), table.column(HOURS)
    means = {
        "cpu_efficiency": _means(table, "cpu_efficiency", core_hours),
        "memory_efficiency": _means(table, "memory_efficiency", core_hours),
        "gpu_utilization": _means(table, "gpu_utilization", gpu_hours),
    }
    return {state: Efficiency(**{name: found.get(state) for name, found in means.items()}) for state in states}


def _means(table: pa.Table, name: str, weights: pa.ChunkedArray) -> dict[str, float]:
    values = table.column(name)
    if values.null_count == len(values):
        return {}
    known = pc.and_(pc.is_valid(values), pc.is_valid(weights))
    some = pa.table({"state": table.column("state"), "value": pc.multiply(values, weights), "weight": weights}).filter(
        known
    )
    rows = some.group_by("state").aggregate([("value", "sum"), ("weight", "sum")]).to_pylist()
    return {row["state"]: row["value_sum"] / row["weight_sum"] for row in rows if row["weight_sum"]}
