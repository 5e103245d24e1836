"""The three GPU-hours of all attempts of the ledger, and of each: allocated, charged by the site's rule, busy.

What is charged is computed here, each time, and never stored: a rule that was read wrongly is put right in the profile.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.budget.charging import (
    REASONS,
    charged_column,
    charged_gpu_hours,
    charged_levels,
    columns_for,
    gaps_between,
    held_of,
)
from hpc_qa.budget.reconciliation import NOT_SAMPLED, START_UP, WORK, Reconciliation, reconcile_attempt
from hpc_qa.config import Site
from hpc_qa.ledger.attempts import current, of_budget
from hpc_qa.ledger.schema import ATTEMPT

# GPU-seconds in which a kernel ran, the share of the GPU-time that was looked at, GPU-milliseconds by stage
SAMPLES = ("gpu_busy_s", "gpu_samples_share", "busy_ms")
MS_PER_HOUR = 3_600_000


def columns(site: Site | None) -> tuple[str, ...]:
    """The columns of the attempt table that `reconcile_table` reads."""
    return (*columns_for(site), "stages_ms", *(name for name in SAMPLES if name in ATTEMPT.names))


def reconcile(project: Path, site: Site | None, clusters: Sequence[str] = ()) -> Reconciliation:
    """The three numbers of every attempt on these clusters, or on any; what ran on this machine is not in them.

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    table = current(project, ("cluster", *columns(site))).table
    return reconcile_table(site, table.filter(of_budget(table, clusters)))


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


def gaps_between_hours(site: Site | None, row: dict[str, Any]) -> dict[str, float] | None:
    """What lies between the three numbers of one attempt, by name, GPU-hours; None where nothing does.

    `row` has the columns of the ledger and those of `with_hours`, maps as objects.
    """
    allocated, charged = row["gpu_hours_allocated"], row["gpu_hours_charged"]
    if (charged is None or charged == allocated) and row["gpu_busy_s"] is None:
        return None
    found = reconcile_attempt(
        site, held_of(row), busy_s=row["gpu_busy_s"], samples_share=row["gpu_samples_share"],
        stages_ms=row["stages_ms"], busy_ms=row["busy_ms"],
    )  # fmt: skip
    return {name: float(gap) for name, gap in (found.to_charged | found.to_busy).items()} or None


def not_charged(site: Site | None, table: pa.Table) -> dict[str, int]:
    """Of how many attempts of `with_hours` the charge is not known, by reason in words."""
    found = _reasons(site, table.filter(pc.is_null(table.column("gpu_hours_charged"))))
    return {REASONS[name]: count for name, count in found.items()}


def reasons_in_words(site: Site | None, unknown: pa.Table) -> dict[str, int]:
    """Why the charges of these attempts are not known: attempts by reason."""
    return {REASONS[name]: count for name, count in _reasons(site, unknown).items()}


def _reasons(site: Site | None, unknown: pa.Table) -> dict[str, int]:
    """Why charges are not known: attempts by reason. It hangs on what is null or 0 alone, so few rows are asked for."""
    coded = {name: _coded(unknown.column(name)) for name in columns_for(site) if name in unknown.column_names}
    found: dict[str, int] = {}
    for row in pa.table(coded).group_by(list(coded)).aggregate([([], "count_all")]).to_pylist():
        if reason := charged_gpu_hours(site, held_of(row)).reason:
            found[reason] = found.get(reason, 0) + row["count_all"]
    return found


def _coded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null, 0 or 1 of a number, and text as it is."""
    return column if pa.types.is_string(column.type) else pc.if_else(pc.equal(column, 0), 0, 1)


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
    gpus = pc.fill_null(some.column("gpu_count"), 0)
    in_work, in_start_up = _busy_stages(some, busy)
    work_hours, start_up_hours = (pc.multiply(gpus, hours) for hours in _work_and_start_up(some.column("stages_ms")))
    serving = pc.min_element_wise(idle, pc.max_element_wise(zero, pc.subtract(work_hours, in_work)))
    left = pc.subtract(idle, serving)
    start_up = pc.min_element_wise(left, pc.max_element_wise(zero, pc.subtract(start_up_hours, in_start_up)))
    work, looked_at = _sum(busy), _sum(sampled)
    gaps = {"idle_start_up": -_sum(start_up), "idle_serving": -_sum(serving)}
    gaps["idle_elsewhere"] = work - looked_at - sum(gaps.values(), Fraction(0))
    gaps[NOT_SAMPLED] = looked_at - hours
    return work, {name: gap for name, gap in gaps.items() if gap}, some.num_rows


def _busy_stages(table: pa.Table, busy: pa.ChunkedArray) -> list[pa.ChunkedArray]:
    """Busy GPU-hours of work and of start-up of each attempt; where no stages are known it was all work."""
    if "busy_ms" not in table.column_names:
        return [busy, pa.scalar(0.0)]
    known = pc.is_valid(table.column("busy_ms"))
    found = _work_and_start_up(table.column("busy_ms"))
    return [pc.if_else(known, hours, other) for hours, other in zip(found, (busy, 0.0), strict=True)]


def _work_and_start_up(stages: pa.ChunkedArray) -> list[pa.Array]:
    """Hours of work and of start-up of each attempt; 0 of one without marks."""
    flat = pa.concat_arrays(stages.chunks or [pa.nulls(0, stages.type)])
    names = flat.keys.dictionary_encode()
    of_name, places = names.indices.to_numpy(), names.dictionary.to_pylist()
    attempts = np.repeat(np.arange(len(flat)), np.diff(flat.offsets.to_numpy()))
    milliseconds = flat.items.to_numpy()
    found = []
    for wanted in (WORK, START_UP):
        counts = np.isin(of_name, [place for place, name in enumerate(places) if name in wanted])
        sums = np.bincount(attempts[counts], milliseconds[counts], minlength=len(flat))
        found.append(pa.array(sums / MS_PER_HOUR))
    return found


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column that a ledger of an earlier version has not."""
    if name in table.column_names:
        return pc.cast(table.column(name), pa.float64())
    return pa.chunked_array([pa.nulls(table.num_rows, pa.float64())])


def _sum(hours: pa.ChunkedArray) -> Fraction:
    return Fraction(pc.sum(hours, min_count=0).as_py() or 0)


def _unless_zero(name: str, gap: Fraction) -> Mapping[str, Fraction]:
    return {name: gap} if gap else {}
