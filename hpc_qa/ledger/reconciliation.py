"""The three GPU-hours of all attempts of the ledger, and of each: allocated, charged by the site's rule, busy.

What is charged is computed here, each time, and never stored: a rule that was read wrongly is put right in the profile.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.budget.charging import charged_column, charged_levels, columns_for, gaps_between, reasons
from hpc_qa.budget.reconciliation import NOT_SAMPLED, START_UP, WORK, Reconciliation
from hpc_qa.config import Site
from hpc_qa.ledger.attempts import current
from hpc_qa.ledger.schema import ATTEMPT

SAMPLES = ("gpu_busy_s", "gpu_samples_share")  # GPU-seconds in which a kernel ran; share of the GPU-time looked at
MS_PER_HOUR = 3_600_000
REASONS_FOR = 1_000  # attempts that are asked one by one why their charge is not known


def columns(site: Site | None) -> tuple[str, ...]:
    """The columns of the attempt table that `reconcile_table` reads."""
    return (*columns_for(site), "stages_ms", *(name for name in SAMPLES if name in ATTEMPT.names))


def reconcile(project: Path, site: Site | None, clusters: Sequence[str] = ()) -> Reconciliation:
    """The three numbers of every attempt on these clusters, or on any; what ran on this machine is not in them.

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    table = current(project, ("cluster", *columns(site))).table
    counts = pc.invert(pc.equal(table.column("source"), "local"))
    if clusters:
        cluster = table.column("cluster")
        counts = pc.and_(counts, pc.or_(pc.is_null(cluster), pc.is_in(cluster, value_set=pa.array(clusters))))
    return reconcile_table(site, table.filter(counts))


def reconcile_table(site: Site | None, table: pa.Table) -> Reconciliation:
    """The three numbers of these attempts, by columns of `columns`."""
    levels = charged_levels(site, table)
    allocated, charged = levels["allocated"], list(levels.values())[-1]
    known, both = pc.is_valid(charged), pc.and_(pc.is_valid(charged), pc.is_valid(allocated))
    hours, of_both = _sum(allocated), {name: _sum(level.filter(both)) for name, level in levels.items()}
    begin = of_both.pop("allocated")
    to_charged = gaps_between(begin, of_both)
    to_charged |= _unless_zero("not_known", begin - hours)
    alone = _sum(charged.filter(pc.invert(pc.is_valid(allocated))))
    to_charged |= _unless_zero("not_allocated", alone)
    any_charge = table.num_rows == 0 or pc.any(known).as_py()
    unknown = table.filter(pc.invert(known))
    busy, to_busy, sampled = _to_busy(table, hours)
    return Reconciliation(
        attempts=table.num_rows,
        allocated=hours,
        charged=hours + sum(to_charged.values(), Fraction(0)) if any_charge else None,
        busy=busy,
        to_charged=to_charged if any_charge else {},
        to_busy=to_busy,
        not_allocated=allocated.null_count,
        not_charged=_reasons(site, unknown),
        sampled=sampled,
    )


def with_hours(site: Site | None, table: pa.Table) -> pa.Table:
    """The table with `gpu_hours_charged` and `gpu_hours_busy`, null where they are not known."""
    busy = pc.divide(_column(table, "gpu_busy_s"), 3600.0)
    return table.append_column("gpu_hours_charged", charged_column(site, table)).append_column("gpu_hours_busy", busy)


def _reasons(site: Site | None, unknown: pa.Table) -> dict[str, int]:
    """Why charges are not known, of the first that are not; the others count as the first of those."""
    found = reasons(site, unknown.drop_columns(["stages_ms"]).slice(0, REASONS_FOR).to_pylist())
    if found and unknown.num_rows > REASONS_FOR:
        most = max(found, key=lambda name: found[name])
        found[most] += unknown.num_rows - REASONS_FOR
    return found


def _to_busy(table: pa.Table, hours: Fraction) -> tuple[Fraction | None, dict[str, Fraction], int]:
    """Busy GPU-hours of those that somebody looked at, the gaps to them, and how many they are."""
    seen = pc.and_(pc.is_valid(_column(table, "gpu_busy_s")), pc.is_valid(table.column("gpu_hours_allocated")))
    some = table.filter(seen)
    if some.num_rows == 0:
        return None, {}, 0
    allocated, zero = some.column("gpu_hours_allocated"), 0.0
    busy = pc.divide(_column(some, "gpu_busy_s"), 3600.0)
    share = pc.min_element_wise(_column(some, "gpu_samples_share"), 1.0, skip_nulls=False)
    sampled = pc.max_element_wise(busy, pc.multiply(allocated, share))
    idle = pc.subtract(sampled, busy)
    serving = pc.min_element_wise(idle, pc.max_element_wise(zero, pc.subtract(_of_stages(some, WORK), busy)))
    start_up = pc.min_element_wise(pc.subtract(idle, serving), _of_stages(some, START_UP))
    work, seconds = _sum(busy), _sum(sampled)
    gaps = {"idle_start_up": -_sum(start_up), "idle_serving": -_sum(serving)}
    gaps["idle_elsewhere"] = work - seconds - sum(gaps.values(), Fraction(0))
    gaps[NOT_SAMPLED] = seconds - hours
    return work, {name: gap for name, gap in gaps.items() if gap}, some.num_rows


def _of_stages(table: pa.Table, names: Iterable[str]) -> pa.ChunkedArray:
    """GPU-hours of these stages of each attempt; 0 where it left no marks."""
    gpus = pc.cast(pc.fill_null(table.column("gpu_count"), 0), pa.float64())
    of_each = (pc.map_lookup(table.column("stages_ms"), pa.scalar(name), "first") for name in names)
    milliseconds = functools.reduce(pc.add, (pc.cast(pc.fill_null(one, 0), pa.float64()) for one in of_each))
    return pc.divide(pc.multiply(gpus, milliseconds), float(MS_PER_HOUR))


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column that a ledger of an earlier version has not."""
    if name in table.column_names:
        return pc.cast(table.column(name), pa.float64())
    return pa.chunked_array([pa.nulls(table.num_rows, pa.float64())])


def _sum(hours: pa.ChunkedArray) -> Fraction:
    return Fraction(pc.sum(hours, min_count=0).as_py() or 0)


def _unless_zero(name: str, gap: Fraction) -> Mapping[str, Fraction]:
    return {name: gap} if gap else {}
