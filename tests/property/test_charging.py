"""What is charged and what was busy: named gaps are all that lies between, whatever rule and samples say."""

from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_qa.budget.charging import REASONS, charged_column, charged_gpu_hours, held_of
from hpc_qa.budget.reconciliation import NAMES, Reconciliation, reconcile_attempt, total
from hpc_qa.budget.waterfall import STAGES
from hpc_qa.config import Site
from hpc_qa.ledger.reconciliation import reconcile_table
from hpc_qa.ledger.schema import ATTEMPT

COUNTS = st.none() | st.integers(0, 64)
SECONDS = st.none() | st.just(0) | st.integers(1, 700_000)
FACTORS = st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.7, 3.0])
SITES = st.none() | st.builds(
    lambda unit, factor, qos, suspended, per_node: Site.model_validate(
        {
            "name": "x", "gpu": {"per_node": per_node},
            "charging": {"unit": unit, "factor": factor, "qos_factors": qos, "suspended": suspended},
        }
    ),
    st.sampled_from(["gpu", "node", "billing"]), st.sampled_from([0.1, 1.0, 2.5]),
    st.dictionaries(st.sampled_from(["low", "high"]), FACTORS), st.booleans(), st.none() | st.integers(1, 16),
)  # fmt: skip
MILLISECONDS = st.none() | st.dictionaries(st.sampled_from(STAGES), st.integers(0, 10**9))
ROWS = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["sacct", "sacct", "local"]), "gpu_count": COUNTS, "elapsed_s": SECONDS,
        "suspended_s": SECONDS, "nodes": COUNTS, "billing": st.none() | st.floats(0, 1e6),
        "qos": st.sampled_from([None, "low", "high", "normal"]),
        "busy_s": st.none() | st.floats(0, 1e7), "share": st.none() | st.floats(0, 1),
        "stages_ms": MILLISECONDS, "busy_ms": MILLISECONDS,
    }
)  # fmt: skip

HELD = ("source", "gpu_count", "elapsed_s", "suspended_s", "nodes", "billing", "qos")


def reconciled(site: Site | None, row: dict[str, Any]) -> Reconciliation:
    return reconcile_attempt(
        site,
        held_of(row),
        busy_s=row["busy_s"],
        samples_share=row["share"],
        stages_ms=row["stages_ms"],
        busy_ms=row["busy_ms"],
    )


def differences_are_named(one: Reconciliation) -> bool:
    named = set(one.to_charged) | set(one.to_busy) <= set(NAMES)
    charged = one.charged is None or sum(one.to_charged.values(), Fraction(0)) == one.charged - one.allocated
    busy = one.busy is None or sum(one.to_busy.values(), Fraction(0)) == one.busy - one.allocated
    return named and charged and busy


@given(SITES, st.lists(ROWS, max_size=8))
def test_gaps_sum_exactly_to_the_differences_of_each_attempt_and_of_all(site, rows):
    every = [reconciled(site, row) for row in rows]
    assert all(differences_are_named(one) for one in every)
    assert differences_are_named(total(every))


@given(SITES, ROWS)
def test_nothing_is_charged_below_zero_and_what_is_not_known_has_its_reason(site, row):
    charge = charged_gpu_hours(site, held_of(row))
    assert (charge.gpu_hours is None) == (charge.reason in REASONS)
    assert charge.gpu_hours is None or charge.gpu_hours >= 0


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    hours = [held_of(row).gpu_hours_allocated for row in rows]
    found = {name: [row[name] for row in rows] for name in HELD}
    milliseconds = {
        name: [None if row[name] is None else list(row[name].items()) for row in rows]
        for name in ("stages_ms", "busy_ms")
    }
    found["gpu_hours_allocated"] = [None if one is None else float(one) for one in hours]
    table = pa.table({name: pa.array(values, ATTEMPT.field(name).type) for name, values in found.items()})
    for name, values in milliseconds.items():
        table = table.append_column(name, pa.array(values, ATTEMPT.field("stages_ms").type))
    table = table.append_column("gpu_busy_s", pa.array([row["busy_s"] for row in rows], pa.float64()))
    return table.append_column("gpu_samples_share", pa.array([row["share"] for row in rows], pa.float64()))


@settings(deadline=None)  # the first takes as long as loading pyarrow
@given(SITES, st.lists(ROWS, max_size=8))
def test_many_attempts_at_once_come_to_what_they_come_to_one_by_one(site, rows):
    table, each = as_table(rows), [reconciled(site, row) for row in rows]
    charged = charged_column(site, table).to_pylist()
    expected = [None if one.charged is None else pytest.approx(float(one.charged)) for one in each]
    assert charged == expected
    together, one_by_one = reconcile_table(site, table), total(each)
    assert differences_are_named(together)
    assert together.not_charged == one_by_one.not_charged
    ours, theirs = together.to_json(), one_by_one.to_json()
    for name in ("attempts", "attempts_unknown", "attempts_sampled"):
        assert ours[name] == theirs[name]
    for name in ("gpu_hours_allocated", "gpu_hours_charged", "gpu_hours_busy"):
        assert ours[name] == (None if theirs[name] is None else pytest.approx(theirs[name]))
    for name in ("allocated_to_charged", "allocated_to_busy"):
        for gap in NAMES:
            assert ours[name].get(gap, 0) == pytest.approx(theirs[name].get(gap, 0), abs=1e-3)
