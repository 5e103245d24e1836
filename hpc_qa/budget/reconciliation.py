"""The three GPU-hours of an attempt, allocated, charged and busy, and what lies between them, by name.

From allocated to charged: the steps of the site's rule (`charging.py`). From allocated to busy:

    idle_serving, idle_start_up, idle_elsewhere
                 sampled, and no kernel ran. Where it is not known in which stage the GPUs were busy, they count as busy
                 while serving, so that what is idle there is the least that it can be
    not_sampled  nobody looked: before the worker began, after it was killed, or without NVML

Exact: hours are fractions, and the gaps sum to the differences. Busy is None where nobody looked at all.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hpc_qa.budget.charging import REASONS, Charge, Held, charged_gpu_hours
from hpc_qa.config import Site
from hpc_qa.units import number, plural

START_UP = ("setup", "model_load", "warm_up")  # `launch` is before the worker can look
WORK = ("serving", "tail")
NOT_SAMPLED = "not_sampled"
ROUNDING = 1e-9  # GPU-hours: sums of floats
NAMES = {
    "local": "on this machine, not charged",
    "suspended": "time in suspension",
    "whole_nodes": "GPUs of whole nodes that were not asked for",
    "billing": "billing TRES instead of GPUs",
    "qos_factor": "factor of the QOS",
    "factor": "factor of the system",
    "not_known": "attempts whose charge is not known",
    "not_allocated": "charged, and the allocation is not known",
    "idle_start_up": "idle in start-up",
    "idle_serving": "idle while serving",
    "idle_elsewhere": "idle in other stages",
    NOT_SAMPLED: "not sampled",
}


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """GPU-hours of some attempts; gaps are what is added on the way from those allocated."""

    attempts: int
    allocated: Fraction  # of attempts of which it is known
    charged: Fraction | None
    busy: Fraction | None
    to_charged: dict[str, Fraction] = field(default_factory=dict)  # sums to charged - allocated
    to_busy: dict[str, Fraction] = field(default_factory=dict)  # sums to busy - allocated
    not_allocated: int = 0  # attempts of which it is not known what they held
    not_charged: dict[str, int] = field(default_factory=dict)  # attempts whose charge is not known, by reason
    sampled: int = 0  # attempts whose GPUs somebody looked at

    def to_json(self) -> dict[str, Any]:
        """GPU-hours as numbers; null where nothing is known."""
        return {
            "attempts": self.attempts,
            "attempts_unknown": self.not_allocated,
            "attempts_sampled": self.sampled,
            "gpu_hours_allocated": float(self.allocated),
            "gpu_hours_charged": _number(self.charged),
            "gpu_hours_busy": _number(self.busy),
            "allocated_to_charged": {name: float(gap) for name, gap in self.to_charged.items()},
            "allocated_to_busy": {name: float(gap) for name, gap in self.to_busy.items()},
            "charge_unknown": self.not_charged,
        }

    def lines(self) -> list[str]:
        """For people: the three numbers, and each gap below the one it leads to."""
        lines = [f"{'allocated':<11}{number(float(self.allocated))} GPU-hours; attempts: {self.attempts:,}"]
        for name, hours, gaps in (("charged", self.charged, self.to_charged), ("busy", self.busy, self.to_busy)):
            lines.append(f"{name:<11}{'unknown' if hours is None else f'{number(float(hours))} GPU-hours'}")
            real = {gap_name: float(gap) for gap_name, gap in gaps.items() if abs(gap) > ROUNDING}
            lines += (f"{'':<11}{'+' * (gap > 0)}{number(gap)} {NAMES[gap_name]}" for gap_name, gap in real.items())
            if name == "charged":
                reasons = self.not_charged.items()
                lines += (f"{'':<11}of {plural(count, 'attempt')}: {REASONS[reason]}" for reason, count in reasons)
        return lines


def reconcile_attempt(
    site: Site | None,
    held: Held,
    *,
    busy_s: float | None = None,
    samples_share: float | None = None,
    stages_ms: Mapping[str, int] | None = None,
    busy_ms: Mapping[str, int] | None = None,
) -> Reconciliation:
    """The three numbers of one attempt.

    `busy_s` are GPU-seconds in which a kernel ran, summed over its GPUs; `samples_share` is the share of its GPU-time
    that was looked at, 0 to 1; `stages_ms` is where its time went, `busy_ms` GPU-milliseconds with a kernel by stage.
    """
    allocated, charge = held.gpu_hours_allocated, charged_gpu_hours(site, held)
    busy = None if busy_s is None or allocated is None else Fraction(busy_s) / 3600
    return Reconciliation(
        attempts=1,
        allocated=allocated or Fraction(0),
        charged=charge.gpu_hours,
        busy=busy,
        to_charged=_to_charged(allocated, charge),
        to_busy={}
        if allocated is None or busy is None
        else _to_busy(allocated, busy, samples_share, _lengths(held.gpus or 0, busy, stages_ms or {}, busy_ms)),
        not_allocated=int(allocated is None),
        not_charged={charge.reason: 1} if charge.reason else {},
        sampled=int(busy is not None),
    )


def _to_charged(allocated: Fraction | None, charge: Charge) -> dict[str, Fraction]:
    if allocated is None and charge.gpu_hours:
        return {"not_allocated": charge.gpu_hours}
    return charge.gaps


def _lengths(
    gpus: int, busy: Fraction, stages_ms: Mapping[str, int], busy_ms: Mapping[str, int] | None
) -> tuple[Fraction, Fraction]:
    """GPU-hours of serving, and of start-up, in which no kernel can have run as far as stages tell."""

    def of(names: Iterable[str], milliseconds: Mapping[str, int]) -> Fraction:
        return Fraction(sum(milliseconds.get(name, 0) for name in names), 3_600_000)

    work = of(WORK, busy_ms) if busy_ms is not None else busy
    start_up = of(START_UP, busy_ms or {})
    zero = Fraction(0)
    return max(zero, gpus * of(WORK, stages_ms) - work), max(zero, gpus * of(START_UP, stages_ms) - start_up)


def _to_busy(
    allocated: Fraction, busy: Fraction, share: float | None, can_be_idle: tuple[Fraction, Fraction]
) -> dict[str, Fraction]:
    sampled = max(busy, allocated * min(Fraction(share), Fraction(1)) if share is not None else busy)
    idle = sampled - busy
    serving = min(idle, can_be_idle[0])
    start_up = min(idle - serving, can_be_idle[1])
    gaps = {
        "idle_start_up": -start_up, "idle_serving": -serving, "idle_elsewhere": -(idle - serving - start_up),
        NOT_SAMPLED: sampled - allocated,
    }  # fmt: skip
    return {name: gap for name, gap in gaps.items() if gap}


def total(found: Iterable[Reconciliation]) -> Reconciliation:
    """All of them together; what is not known of one is a gap of its own."""
    every = list(found)
    to_charged, to_busy, reasons = dict[str, Fraction](), dict[str, Fraction](), dict[str, int]()
    for one in every:
        _add(to_charged, one.to_charged if one.charged is not None else {"not_known": -one.allocated})
        _add(to_busy, one.to_busy if one.busy is not None else {NOT_SAMPLED: -one.allocated})
        for reason, count in one.not_charged.items():
            reasons[reason] = reasons.get(reason, 0) + count
    charged = [one.charged for one in every if one.charged is not None]
    busy = [one.busy for one in every if one.busy is not None]
    return Reconciliation(
        attempts=sum(one.attempts for one in every),
        allocated=sum((one.allocated for one in every), Fraction(0)),
        charged=sum(charged, Fraction(0)) if charged or not every else None,
        busy=sum(busy, Fraction(0)) if busy else None,
        to_charged={name: gap for name, gap in to_charged.items() if gap} if charged else {},
        to_busy={name: gap for name, gap in to_busy.items() if gap} if busy else {},
        not_allocated=sum(one.not_allocated for one in every),
        not_charged=reasons,
        sampled=sum(one.sampled for one in every),
    )


def _add(into: dict[str, Fraction], gaps: Mapping[str, Fraction]) -> None:
    for name, gap in gaps.items():
        into[name] = into.get(name, Fraction(0)) + gap


def _number(hours: Fraction | None) -> float | None:
    return None if hours is None or not math.isfinite(hours) else float(hours)
