"""GPU-hours that a site charges for an allocation, by the rule in its profile, from those that were allocated.

    counted = elapsed, with the time in suspension where that is charged (sacct's Elapsed leaves it out)
    gpu       GPUs x counted
    node      nodes x GPUs of a node x counted: whole nodes, and nothing where no GPU was held
    billing   Slurm's billing TRES x counted
    charged = that x the factor of the QOS x the factor of the system

NERSC's rule is one of these: whole nodes x hours x QOS factor x system factor (docs.nersc.gov, "charging policy"). What
never started is charged nothing, and neither is what ran on this machine. What cannot be known is None, with a reason.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hpc_qa.config import Charging, Site

SECONDS = 3600
# why a charge is not known
REASONS = {
    "no_gpus": "it is not known how many GPUs were held",
    "no_elapsed": "it is not known for how long",
    "no_suspended": "accounting has no time in suspension, which is charged here",
    "no_nodes": "accounting has no number of nodes",
    "no_per_node": "gpu.per_node of the site's profile is not set",
    "no_billing": "accounting has no billing TRES",
    "no_qos": "accounting has no QOS, and the factor hangs on it",
}
# what a rule can read of an attempt, as the ledger calls it
COLUMNS = ("source", "gpu_count", "gpus_asked", "elapsed_s", "gpu_hours_allocated")


@dataclass(frozen=True, slots=True)
class Held:
    """What one attempt held, and for how long; None is not known."""

    gpus: int | None
    elapsed_s: int | None
    suspended_s: int | None = None
    nodes: int | None = None
    billing: float | None = None
    qos: str | None = None
    local: bool = False  # on this machine

    @property
    def gpu_hours_allocated(self) -> Fraction | None:
        """GPUs x elapsed."""
        if self.elapsed_s == 0:
            return Fraction(0)
        if self.gpus is None or self.elapsed_s is None:
            return None
        return Fraction(self.gpus * self.elapsed_s, SECONDS)


@dataclass(frozen=True, slots=True)
class Charge:
    """What is charged for one attempt."""

    gpu_hours: Fraction | None
    reason: str | None  # one of REASONS where it is not known
    gaps: dict[str, Fraction]  # GPU-hours, by name; they sum to what is charged less what was allocated


def charged_gpu_hours(site: Site | None, held: Held) -> Charge:
    """What the site charges for an attempt; without a profile what was allocated.

    >>> whole_nodes = Site.model_validate({"name": "x", "gpu": {"per_node": 4}, "charging": {"unit": "node"}})
    >>> float(charged_gpu_hours(whole_nodes, Held(gpus=1, elapsed_s=3600, nodes=1)).gpu_hours)
    4.0
    """
    rule = site.charging if site else Charging()
    allocated = held.gpu_hours_allocated
    if held.elapsed_s == 0:
        return Charge(Fraction(0), None, {})
    if held.local:
        return Charge(Fraction(0), None, {} if not allocated else {"local": -allocated})
    if reason := _unknown(rule, site, held):
        return Charge(None, reason, {})
    elapsed, per_node = held.elapsed_s or 0, site.gpu.per_node if site else None
    counted = Fraction(elapsed + (held.suspended_s or 0) * rule.suspended, SECONDS)
    gpus = held.gpus or 0
    units = {
        "gpu": Fraction(gpus),
        "node": Fraction((held.nodes or 0) * (per_node or 0) if gpus else 0),
        "billing": Fraction(held.billing or 0),
    }[rule.unit]
    levels = {"suspended": gpus * counted, _name_of(rule): units * counted}
    levels["qos_factor"] = units * counted * Fraction(rule.qos_factors.get(held.qos or "", 1))
    levels["factor"] = levels["qos_factor"] * Fraction(rule.factor)
    return Charge(levels["factor"], None, {} if allocated is None else gaps_between(allocated, levels))


def gaps_between(begin: Fraction, levels: dict[str, Fraction]) -> dict[str, Fraction]:
    """What each level adds to the one before; what adds nothing is left out."""
    gaps = {}
    for name, level in levels.items():
        if level != begin:
            gaps[name] = level - begin
        begin = level
    return gaps


def _name_of(rule: Charging) -> str:
    return "billing" if rule.unit == "billing" else "whole_nodes"


def _unknown(rule: Charging, site: Site | None, held: Held) -> str | None:
    """Why the charge cannot be known."""
    of_nodes = rule.unit == "node" and held.gpus != 0
    found = {
        "no_elapsed": held.elapsed_s is None,
        "no_gpus": held.gpus is None and rule.unit != "billing",
        "no_per_node": of_nodes and (site is None or site.gpu.per_node is None),
        "no_nodes": of_nodes and not held.nodes,
        "no_billing": rule.unit == "billing" and held.billing is None,
        "no_suspended": rule.suspended and held.suspended_s is None,
        "no_qos": bool(rule.qos_factors) and held.qos is None,
    }
    return next((name for name, is_so in found.items() if is_so), None)


# -- a table of attempts


def is_plain(site: Site | None) -> bool:
    """Whether what is charged is what was allocated."""
    rule = site.charging if site else Charging()
    return rule.unit == "gpu" and rule.factor == 1 and not rule.qos_factors and not rule.suspended


def columns_for(site: Site | None) -> tuple[str, ...]:
    """The columns of the ledger that the rule reads."""
    return COLUMNS if is_plain(site) else (*COLUMNS, "suspended_s", "nodes", "billing", "qos")


def charged_levels(site: Site | None, table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """GPU-hours of each attempt after each step of the rule, what is charged last; null where it is not known.

    The first are those allocated. They are the same steps as in `charged_gpu_hours`, for many attempts at once.
    """
    table = accounted(table)
    allocated = table.column("gpu_hours_allocated")
    is_local = pc.equal(table.column("source"), "local")
    if is_plain(site):
        levels = {"allocated": allocated}
    else:
        levels = {"allocated": allocated} | _levels(site or Site(name=""), table)
    if pc.any(is_local).as_py():
        last = list(levels.values())[-1]
        for name in list(levels)[1:]:
            levels[name] = pc.if_else(is_local, allocated, levels[name])
        levels["local"] = pc.if_else(is_local, 0.0, last)
    return levels


def charged_column(site: Site | None, table: pa.Table) -> pa.ChunkedArray:
    """GPU-hours that are charged for each attempt."""
    return list(charged_levels(site, table).values())[-1]


def counted_column(site: Site | None, table: pa.Table) -> pa.ChunkedArray:
    """What counts of each attempt: its charge; where the rule cannot say, what was allocated, and never nothing.

    What accounting has no GPUs of counts by those that it asked for.
    """
    table = _as_asked(table)
    return pc.coalesce(charged_column(site, table), table.column("gpu_hours_allocated"))


def is_not_accounted(table: pa.Table) -> pa.ChunkedArray:
    """Which attempts asked for GPUs that accounting does not have; their zeros, where it says some, are none."""
    return pc.is_valid(table.column("gpus_asked"))


def accounted(table: pa.Table) -> pa.Table:
    """The table with null in the place of such zeros."""
    if not _some_not_accounted(table):
        return table
    unknown = is_not_accounted(table)
    for name in ("gpu_count", "gpu_hours_allocated"):
        column = pc.if_else(unknown, pa.scalar(None, table.schema.field(name).type), table.column(name))
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _some_not_accounted(table: pa.Table) -> bool:
    return "gpus_asked" in table.column_names and table.column("gpus_asked").null_count < table.num_rows


def _as_asked(table: pa.Table) -> pa.Table:
    """The table with what was asked for in the place of what accounting does not have."""
    if not _some_not_accounted(table):
        return table
    asked = table.column("gpus_asked")
    hours = pc.divide(pc.cast(pc.multiply(asked, table.column("elapsed_s")), pa.float64()), float(SECONDS))
    whole = {"gpu_count": asked, "gpu_hours_allocated": hours, "gpus_asked": pa.nulls(table.num_rows, pa.int64())}
    for name, column in whole.items():
        filled = column if name == "gpus_asked" else pc.if_else(pc.is_valid(asked), column, table.column(name))
        table = table.set_column(table.column_names.index(name), name, filled)
    return table


def _levels(site: Site, table: pa.Table) -> dict[str, pa.ChunkedArray]:
    rule, elapsed = site.charging, table.column("elapsed_s")
    gpus = pc.cast(table.column("gpu_count"), pa.float64())
    counted = pc.add(elapsed, table.column("suspended_s")) if rule.suspended else elapsed
    hours = pc.divide(pc.cast(counted, pa.float64()), float(SECONDS))
    of_gpus = in_units = pc.multiply(gpus, hours)
    if rule.unit == "node":
        nodes = pc.cast(table.column("nodes"), pa.float64())
        per_node = pa.scalar(site.gpu.per_node, pa.float64())
        known = pc.if_else(pc.greater(nodes, 0.0), nodes, pa.scalar(None, pa.float64()))
        in_units = pc.if_else(pc.equal(gpus, 0.0), 0.0, pc.multiply(pc.multiply(known, per_node), hours))
    elif rule.unit == "billing":
        in_units = pc.multiply(table.column("billing"), hours)
    with_qos = in_units
    if rule.qos_factors:
        names = table.column("qos")
        places = pc.index_in(names, value_set=pa.array(list(rule.qos_factors), pa.string()))
        factors = pc.take(pa.array(list(rule.qos_factors.values()), pa.float64()), places)
        factors = pc.if_else(pc.is_valid(names), pc.fill_null(factors, 1.0), pa.scalar(None, pa.float64()))
        with_qos = pc.multiply(in_units, factors)
    levels = {
        "suspended": of_gpus, _name_of(rule): in_units, "qos_factor": with_qos,
        "factor": pc.multiply(with_qos, rule.factor),
    }  # fmt: skip
    never = pc.equal(elapsed, 0)
    return {name: pc.if_else(never, 0.0, level) for name, level in levels.items()}


def held_of(row: dict[str, Any]) -> Held:
    """What an attempt held, by its columns of the ledger."""
    gpus = row.get("gpu_count") if row.get("gpus_asked") is None else None
    return Held(
        gpus=gpus, elapsed_s=row.get("elapsed_s"), suspended_s=row.get("suspended_s"),
        nodes=row.get("nodes"), billing=row.get("billing"), qos=row.get("qos"), local=row.get("source") == "local",
    )  # fmt: skip
