import json

from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.budget.costs import DocumentCost
from hpc_qa.budget.forecast import forecast
from hpc_qa.budget.overhead import per_task

SIZES = st.floats(1e-3, 1e9)
HOURS = st.none() | st.floats(0, 1e6)
DOCUMENTS = st.lists(st.tuples(SIZES, st.integers(0, 9), HOURS), min_size=1, max_size=40)


def table(rows):
    return [DocumentCost(str(number), size, str(task), hours) for number, (size, task, hours) in enumerate(rows)]


@given(DOCUMENTS, st.floats(1e-3, 1e9), st.floats(0, 1e3))
def test_percentiles_are_in_order_never_below_what_is_spent_and_always_json(rows, budget, overhead):
    found = forecast(table(rows), budget_gpu_hours=budget, overhead=per_task(table(rows), overhead))
    json.dumps(found.to_json(), allow_nan=False)
    done = sum(hours is not None for _, _, hours in rows)
    assert (found.p50 is None) == (done < 2 and done < len(rows))
    if found.p05 is not None and found.p50 is not None and found.p95 is not None:
        assert found.spent_gpu_hours <= found.p05 * (1 + 1e-9) <= found.p50 * (1 + 2e-9) <= found.p95 * (1 + 3e-9)
        assert found.p_within is not None
        assert 0 <= found.p_within <= 1
    assert found.status in ("within", "close", "over", "undecided")


@given(DOCUMENTS, st.floats(1e-3, 1e9), st.floats(1, 100))
def test_a_larger_budget_is_never_less_likely_to_be_enough(rows, budget, factor):
    small = forecast(table(rows), budget_gpu_hours=budget)
    large = forecast(table(rows), budget_gpu_hours=budget * factor)
    assert (small.p_within is None) == (large.p_within is None)
    if small.p_within is not None and large.p_within is not None:
        assert small.p_within <= large.p_within + 1e-12
