"""The ledger over time: GPU-hours charged since the first attempt, and how efficient attempts of each state were.

An attempt is charged evenly from its start to its end, or all at once where only its end is known. Whole columns are
worked on, so that a million attempts take a moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hpc_qa.budget.charging import columns_for, counted_column
from hpc_qa.config import Site
from hpc_qa.ledger.attempts import current, of_budget
from hpc_qa.units import utc_now

Floats = NDArray[np.float64]

MOMENTS = 240  # of the curve at most
BINS = 10  # of an efficiency, each of 10 %; what is above 100 % is in the last
# what each efficiency is weighted by
WEIGHTS = {"cpu_efficiency": "core-hours", "memory_efficiency": "core-hours", "gpu_utilization": "GPU-hours"}
COLUMNS = (
    "cluster", "source", "state", "observed_at", "start", "end", "elapsed_s", "cpus", "gpu_hours_allocated", *WEIGHTS,
)  # fmt: skip
SECONDS, MS = 3600, 1000


@dataclass(frozen=True, slots=True)
class History:
    """What was charged by when, and the efficiencies of attempts."""

    read_at: datetime
    captured_at: datetime | None  # when the newest row was written; None: there is none
    times_s: tuple[float, ...]  # since 1970, evenly from the first start to the last end
    charged: tuple[float, ...]  # GPU-hours until each of these times
    undated: float  # GPU-hours of attempts without start and end; they are in `charged` from its beginning
    efficiencies: dict[str, dict[str, tuple[float, ...]]]  # measure, state: hours in each bin, of `WEIGHTS`

    @property
    def now_s(self) -> float:
        """Up to when it is known what was used, in seconds since 1970."""
        moment = (self.captured_at or self.read_at).timestamp()
        return max(moment, self.times_s[-1]) if self.times_s else moment


def history(project: Path, clusters: Sequence[str] = (), site: Site | None = None) -> History:
    """The history of what is charged: on these clusters or on any, never of this machine. `site` says by what rule.

    Raises:
        StoreError: the folder of the ledger cannot be listed.
    """
    table = current(project, tuple(dict.fromkeys((*COLUMNS, *columns_for(site))))).table
    captured_at = pc.max(table.column("observed_at")).as_py()
    table = table.filter(of_budget(table, clusters))
    start, end = _seconds(table, "start"), _seconds(table, "end")
    end = np.where(np.isnan(end), start + _numbers(table.column("elapsed_s")), end)  # it still runs
    times_s, charged, undated = cumulative(start, end, _numbers(counted_column(site, table)))
    return History(
        read_at=utc_now(),
        captured_at=captured_at and captured_at.astimezone(UTC),
        times_s=tuple(times_s.tolist()),
        charged=tuple(charged.tolist()),
        undated=undated,
        efficiencies=_efficiencies(table),
    )


def cumulative(start: Floats, end: Floats, hours: Floats) -> tuple[Floats, Floats, float]:
    """(moments, hours until each, hours without a time), of what began and ended then; NaN is not known.

    >>> moments, until, undated = cumulative(np.array([0.0, np.nan]), np.array([239.0, 239.0]), np.array([2.0, 1.0]))
    >>> round(float(until[120]), 3), float(until[-1]), undated
    (1.004, 3.0, 0.0)
    """
    dated, known = ~np.isnan(end), ~np.isnan(hours)
    undated = float(hours[known & ~dated].sum())
    start, end, hours = (values[dated & known] for values in (start, end, hours))
    if not len(end):
        return np.empty(0), np.empty(0), undated
    spreads = start < end  # not so where the start is not known
    first = min(float(end.min()), float(start[spreads].min(initial=np.inf)))
    moments = np.linspace(0.0, float(end.max()) - first, MOMENTS if spreads.any() or np.ptp(end) else 1)
    step = float(moments[-1]) / max(1, len(moments) - 1) or 1.0

    def until(at: Floats, weights: Floats) -> Floats:
        """The weights of what is at or before each moment, together."""
        places = np.minimum(np.ceil(at / step), len(moments) - 1).astype(np.int64)
        return np.cumsum(np.bincount(places, weights, minlength=len(moments)))

    begins, ends = start[spreads] - first, end[spreads] - first
    rate = hours[spreads] / (ends - begins)
    charged = moments * (until(begins, rate) - until(ends, rate)) - until(begins, rate * begins)
    charged += until(ends, rate * ends) + until(end[~spreads] - first, hours[~spreads])
    whole = float(hours.sum())
    charged = np.maximum.accumulate(np.clip(charged, 0.0, whole))  # rounding takes nothing back
    charged[-1] = whole
    return moments + first, charged + undated, undated


def _efficiencies(table: pa.Table) -> dict[str, dict[str, tuple[float, ...]]]:
    codes = pa.concat_arrays(table.column("state").chunks or [pa.nulls(0, pa.string())]).dictionary_encode()
    places, states = pc.fill_null(codes.indices, -1).to_numpy(), codes.dictionary.to_pylist()
    weights = {
        "core-hours": _numbers(table.column("cpus")) * _numbers(table.column("elapsed_s")) / SECONDS,
        "GPU-hours": _numbers(table.column("gpu_hours_allocated")),
    }
    return {name: _bins(_numbers(table.column(name)), weights[of], places, states) for name, of in WEIGHTS.items()}


def _bins(
    shares: Floats, weights: Floats, places: NDArray[np.int64], states: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    """Hours in each bin by state; states of which nothing is known are left out."""
    known = np.isfinite(shares) & (weights > 0) & (places >= 0)
    bins = np.clip(np.floor(shares[known] * BINS + 1e-9), 0, BINS - 1).astype(np.int64)
    sums = np.bincount(places[known] * BINS + bins, weights[known], minlength=len(states) * BINS)
    rows = sums.reshape(len(states), BINS).tolist()
    return {state: tuple(row) for state, row in sorted(zip(states, rows, strict=True)) if any(row)}


def _numbers(column: pa.ChunkedArray) -> Floats:
    """Null becomes NaN."""
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64)


def _seconds(table: pa.Table, name: str) -> Floats:
    return _numbers(pc.cast(table.column(name), pa.int64())) / MS
