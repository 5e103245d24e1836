import json
import math
import random
import statistics

import pytest

from hpc_qa.budget.costs import DocumentCost
from hpc_qa.budget.forecast import forecast
from hpc_qa.budget.overhead import AttemptsSeen, Overhead, per_task


def corpus(done: int, total: int, *, per_task: int = 5, noise: float = 0.2, hours: float = 0.5) -> list[DocumentCost]:
    """Documents of random sizes whose costs are about proportional to them."""
    draw = random.Random(7)
    sizes = [draw.lognormvariate(3, 0.8) for _ in range(total)]
    costs = [size * draw.lognormvariate(0, noise) for size in sizes]
    scale = hours * total / sum(costs)
    return [
        DocumentCost(f"d{number}", size, f"t{number // per_task}", cost * scale if number < done else None)
        for number, (size, cost) in enumerate(zip(sizes, costs, strict=True))
    ]


def test_when_everything_is_done_the_total_is_the_sum_with_the_overhead_of_every_task():
    done = corpus(20, 20)
    found = forecast(done, budget_gpu_hours=100, overhead=per_task(done, 0.25))
    total = math.fsum(one.gpu_hours or 0 for one in done) + 4 * 0.25
    assert found.p05 == found.p50 == found.p95 == pytest.approx(total)
    assert (found.p_within, found.status, found.more_documents_to_decide) == (1.0, "within", None)
    one = forecast(done[:1], budget_gpu_hours=0.001)
    assert (one.p05, one.p95, one.status) == (done[0].gpu_hours, done[0].gpu_hours, "over")


@pytest.mark.parametrize("done", [0, 1])
def test_fewer_than_two_documents_give_no_interval_and_say_how_many_are_missing(done):
    found = forecast(corpus(done, 50), budget_gpu_hours=100)
    assert (found.p05, found.p50, found.p95, found.p_within) == (None, None, None, None)
    assert (found.status, found.more_documents_to_decide) == ("undecided", 2 - done)
    assert (found.naive is None) == (done == 0)


def test_costs_that_are_exactly_proportional_to_sizes_leave_nothing_uncertain():
    table = corpus(25, 100, noise=0)
    found = forecast(table, budget_gpu_hours=100, overhead=per_task(table, 1))
    assert found.p05 == pytest.approx(found.p95)
    assert found.p50 == pytest.approx(50 + 20)
    assert found.spent_gpu_hours == pytest.approx(sum(c.gpu_hours or 0 for c in corpus(25, 100, noise=0)) + 5)


def test_the_interval_is_that_of_the_formulas_written_out():
    table = corpus(40, 200)
    done, left = table[:40], table[40:]
    size, hours = sum(c.size for c in done), sum(c.gpu_hours or 0 for c in done)
    rate, size_left = hours / size, sum(c.size for c in left)
    tasks = [[c for c in done if c.task_id == f"t{number}"] for number in range(8)]
    pairs = [(sum(c.size for c in task), sum(c.gpu_hours or 0 for c in task)) for task in tasks]
    without = [(hours - h) / (size - s) for s, h in pairs]
    jackknife = 7 / 8 * sum((r - statistics.fmean(without)) ** 2 for r in without)
    squares = [((h - rate * s) / (1 - s / size)) ** 2 for s, h in pairs]
    variance = jackknife * size_left**2 + size_left * 8 / size * statistics.fmean(squares)
    df = min(7, max(3, sum(squares) ** 2 / sum(q**2 for q in squares)))
    found = forecast(table, budget_gpu_hours=100)
    expected = rate * size_left
    assert found.p50 == pytest.approx(hours + expected)
    half = math.log((found.p95 - hours) / expected) * expected
    assert half == pytest.approx(-math.log((found.p05 - hours) / expected) * expected)
    from scipy.stats import t  # the other implementation of the same function

    second = t(df).ppf(0.95) * math.sqrt(variance)
    assert second * (1 - 1e-9) <= half <= 2 * second * (1 + 1e-9)


@pytest.mark.parametrize(
    ("budget", "status", "exit_of_plain_rule"),
    [(150, "within", "within"), (101, "close", "over"), (50, "over", "over")],
)
def test_the_status_follows_from_probabilities_and_the_plain_rule_stands_beside_it(budget, status, exit_of_plain_rule):
    found = forecast(corpus(100, 200), budget_gpu_hours=budget)
    assert (found.status, found.naive_status) == (status, exit_of_plain_rule)
    done = [c.gpu_hours or 0 for c in corpus(100, 200)[:100]]
    assert found.naive == pytest.approx(200 * statistics.fmean(done) * 1.10)


def test_what_is_spent_above_the_budget_is_over_whatever_the_rest_costs():
    assert forecast(corpus(1, 50), budget_gpu_hours=1e-6).status == "over"
    assert forecast(corpus(50, 50), budget_gpu_hours=10).status == "over"


def test_a_close_forecast_says_how_many_more_documents_would_decide_it():
    found = forecast(corpus(20, 400), budget_gpu_hours=240)
    assert found.status == "close"
    assert found.more_documents_to_decide is not None
    assert 0 < found.more_documents_to_decide < 380
    done = 20 + found.more_documents_to_decide
    assert forecast(corpus(min(400, 2 * done), 400), budget_gpu_hours=240).status == "within"
    near = forecast(corpus(20, 400), budget_gpu_hours=(found.p50 or 0) * 1.02)
    assert (near.status, near.more_documents_to_decide) == ("close", None)


def test_without_a_budget_the_interval_is_given_and_nothing_is_decided():
    found = forecast(corpus(20, 100), budget_gpu_hours=None)
    assert found.p05 is not None
    assert (found.status, found.naive_status, found.p_within) == ("undecided", "undecided", None)


def test_documents_that_cost_nothing_are_no_division_by_zero():
    free = [DocumentCost(str(n), 1.0, str(n), 0.0 if n < 6 else None) for n in range(9)]
    found = forecast(free, budget_gpu_hours=1)
    assert (found.p05, found.p95, found.status) == (0.0, 0.0, "within")
    json.dumps(found.to_json(), allow_nan=False)


def test_start_ups_that_differ_and_interruptions_widen_the_interval_and_raise_its_middle():
    table = corpus(25, 100, noise=0)
    calm = AttemptsSeen(startups=[0.1] * 5, lost=[]).expect(15, spent=0.5)
    broken = AttemptsSeen(startups=[0.05, 0.1, 0.15, 0.05, 0.15], lost=[1.0, 2.0]).expect(15, spent=3.5)
    quiet, loud = (forecast(table, budget_gpu_hours=100, overhead=one) for one in (calm, broken))
    assert quiet.p50 == pytest.approx(forecast(table, budget_gpu_hours=100).p50 + calm.spent + calm.expected)
    assert 0 < quiet.p95 - quiet.p05 < loud.p95 - loud.p05
    assert loud.p50 > quiet.p50 + 3


def test_the_overhead_of_tasks_to_come_is_that_of_the_formulas_written_out():
    seen = AttemptsSeen(startups=[0.2, 0.4], lost=[1.0])
    found = seen.expect(10, spent=2.0)
    startup, share, again = 0.3, 1.5 / 4, 1.3
    assert seen.interrupted == pytest.approx(share)
    assert found.expected == pytest.approx(10 * startup + 10 * share * again)
    spread = 0.2**2 / 2  # of 0.2 and 0.4, with n - 1
    posterior = share * (1 - share) / 5
    assert found.variance == pytest.approx(
        10 * spread * (1 + 10 / 2) + 10 * share * (1 - share) * again**2 + 100 * again**2 * posterior
    )
    assert seen.expect(0, spent=2.0) == Overhead(spent=2.0)
    assert AttemptsSeen([], []).expect(5, spent=0.0) == Overhead()
    assert AttemptsSeen([], [0.5]).startup == 0.5
