"""Each criterion of a gate by itself: where it says go, no-go and undecided."""

from dataclasses import replace

import pytest

from hpc_qa.budget import gates
from hpc_qa.budget.forecast import Forecast
from hpc_qa.budget.gates import GO, NO_GO, NOT_ASKED, UNDECIDED, Previous
from hpc_qa.errors import ExitCode

NAME = "avg_time_per_pdf_minutes"


def before(value: float | None, name: str = NAME) -> Previous:
    return Previous("batch_50", {name: value})


@pytest.mark.parametrize(
    ("now", "then", "more_is_worse", "verdict", "words"),
    [
        (8.7, 8.0, True, GO, "+8.7 % against batch_50 (8)"),
        (8.8, 8.0, True, GO, "+10.0 %"),
        (8.904, 8.0, True, NO_GO, "+11.3 %"),
        (7.0, 8.0, True, GO, "better than expected"),
        (890.0, 1000.0, False, NO_GO, "-11.0 %"),
        (1200.0, 1000.0, False, GO, "better than expected"),
        (900.0, 1000.0, False, GO, "-10.0 %"),
        (0.0, 0.0, True, GO, "as in batch_50"),
        (0.2, 0.0, True, UNDECIDED, "do not compare"),
        (None, 8.0, True, UNDECIDED, "not measured in this run"),
        (8.0, None, True, UNDECIDED, "not measured in batch_50"),
    ],
)
def test_only_a_change_for_the_worse_of_more_than_ten_per_cent_is_a_no_go(now, then, more_is_worse, verdict, words):
    found = gates.not_worse(NAME, now, before(then), more_is_worse=more_is_worse)
    assert (found.verdict, found.value) == (verdict, now)
    assert words in found.why


def test_a_first_batch_is_compared_with_nothing_and_that_holds_nothing_up():
    found = gates.not_worse(NAME, 8.0, Previous(), more_is_worse=True)
    assert (found.verdict, found.why) == (GO, "no previous batch")


@pytest.mark.parametrize("earlier", [Previous(), before(8.0), before(None), Previous(why_not="another model")])
def test_what_was_never_measured_says_go_to_nothing(earlier):
    for found in (
        gates.not_worse(NAME, None, earlier, more_is_worse=True),
        gates.quality_held(None, 0, Previous()),
        gates.affordable(None, 1000.0),
        gates.affordable(None, None),
        gates.every_gpu_seen(0, None),
        gates.every_gpu_seen(2, None, used_by_us=False),
        gates.few_errors(0, 0),
        gates.no_cluster_fault({}),
    ):
        assert found.value is None
        assert found.verdict in (UNDECIDED, NOT_ASKED)


def test_what_is_not_asked_holds_nothing_up():
    assert gates.verdict([gates.few_errors(0, 9), gates.affordable(None, None)]) == GO


@pytest.mark.parametrize(
    ("score", "then", "verdict"),
    [
        (None, None, UNDECIDED),
        (0.690, None, UNDECIDED),  # the batch before was not judged
        (0.689, None, NO_GO),
        (0.742, 0.780, GO),
        (0.741, 0.780, NO_GO),  # exactly 5 % less
        (0.689, 0.690, NO_GO),
        (0.800, 0.742, GO),
    ],
)
def test_quality_is_held_above_the_least_and_near_the_previous_batch(score, then, verdict):
    assert gates.quality_held(score, 20, before(then, "quality_score")).verdict == verdict
    first = gates.quality_held(score, 20, Previous())
    assert first.verdict == (UNDECIDED if score is None else GO if score >= 0.690 else NO_GO)


@pytest.mark.parametrize(
    ("failed", "documents", "verdict"),
    [(0, 50, GO), (1, 51, GO), (1, 50, UNDECIDED), (10, 200, UNDECIDED), (11, 200, NO_GO), (0, 0, UNDECIDED)],
)
def test_errors_under_two_per_cent_go_and_over_five_do_not(failed, documents, verdict):
    assert gates.few_errors(failed, documents).verdict == verdict


def test_a_critical_issue_is_a_no_go_and_minor_ones_are_counted():
    assert gates.no_critical_issue([]).why == "none noted"
    minor = gates.no_critical_issue([("slow", False)])
    assert (minor.verdict, minor.why) == (GO, "1 minor noted")
    critical = gates.no_critical_issue([("slow", False), ("wrong state", True)])
    assert (critical.verdict, critical.value, critical.why) == (NO_GO, 1, "wrong state")


def test_a_run_is_complete_or_not_yet_or_damaged():
    assert gates.complete(left=0, uncommitted=0, faults=0).verdict == GO
    assert gates.complete(left=3, uncommitted=1, faults=0).verdict == UNDECIDED
    assert gates.complete(left=0, uncommitted=1, faults=0).verdict == UNDECIDED
    assert gates.complete(left=0, uncommitted=0, faults=1).verdict == NO_GO


SAID = Forecast(
    p05=700.0, p50=800.0, p95=900.0, budget_gpu_hours=1000.0, p_within=0.99, status="within", naive=850.0,
    naive_status="within", spent_gpu_hours=40.0, documents_done=50, documents_total=1100, tasks_done=5,
    more_documents_to_decide=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "verdict"), [("within", GO), ("close", UNDECIDED), ("over", NO_GO), ("undecided", UNDECIDED)]
)
def test_what_the_forecast_says_of_the_budget_decides(status, verdict):
    assert gates.affordable(replace(SAID, status=status), 1000.0).verdict == verdict


def test_a_forecast_says_by_how_much_it_is_over_and_how_many_documents_would_decide():
    over = gates.affordable(replace(SAID, p50=1200.0, status="over"), 1000.0)
    assert over.why == "over: 700.0 to 900.0, 200.0 over"
    close = gates.affordable(replace(SAID, status="close", more_documents_to_decide=1100), 1000.0)
    assert close.why == "close: 700.0 to 900.0; about 1,100 more documents would decide"
    early = gates.affordable(replace(SAID, p05=None, p50=None, p95=None, status="undecided"), 1000.0)
    assert (early.value, early.why) == (None, "undecided: nothing to say yet from 50 documents")


def test_without_a_budget_it_is_said_and_without_a_forecast_it_is_undecided():
    assert (gates.affordable(None, None).verdict, gates.affordable(None, None).why) == (NOT_ASKED, "no budget is set")
    assert gates.affordable(None, 1000.0).verdict == UNDECIDED


def test_a_smoke_test_has_shown_that_everything_works_or_not():
    rows = {"train": 4, "validation": 0, "rejected": 1}
    assert gates.output_opens(rows, None).verdict == GO
    assert gates.output_opens({**rows, "train": 0}, None).verdict == UNDECIDED
    assert gates.output_opens(None, "qa.jsonl: broken").verdict == NO_GO
    assert gates.output_opens(None, None).verdict == UNDECIDED
    assert gates.endpoint_answered(17, 2).verdict == GO
    assert gates.endpoint_answered(0, 2).verdict == NO_GO
    assert gates.endpoint_answered(0, 0).verdict == UNDECIDED


@pytest.mark.parametrize(
    ("allocated", "sampled", "verdict"),
    [(4, 4, GO), (4, 3, NO_GO), (4, None, UNDECIDED), (0, None, NOT_ASKED), (None, None, UNDECIDED)],
)
def test_every_allocated_gpu_was_seen_or_none_was_held(allocated, sampled, verdict):
    assert gates.every_gpu_seen(allocated, sampled).verdict == verdict
    assert gates.every_gpu_seen(allocated, sampled, used_by_us=False).verdict == NOT_ASKED


@pytest.mark.parametrize("state", sorted(gates.CLUSTER_FAULTS))
def test_what_the_cluster_did_to_an_attempt_is_a_no_go(state):
    found = gates.no_cluster_fault({"COMPLETED": 1, state: 1})
    assert (found.verdict, found.value, found.why) == (NO_GO, 1, f"1 COMPLETED, 1 {state}")


def test_attempts_that_completed_go_and_others_are_looked_at():
    assert gates.no_cluster_fault({"COMPLETED": 2}).verdict == GO
    assert gates.no_cluster_fault({"COMPLETED": 1, "FAILED": 1}).verdict == UNDECIDED
    assert gates.no_cluster_fault({}).verdict == UNDECIDED


def test_the_worst_criterion_is_the_verdict_and_its_exit_code():
    criteria = [gates.few_errors(failed, 100) for failed in (0, 3, 50)]
    words = [gates.verdict(criteria[:count]) for count in (1, 2, 3)]
    assert words == [GO, UNDECIDED, NO_GO]
    assert [gates.exit_code(word) for word in words] == [ExitCode.DONE, ExitCode.UNDECIDED, ExitCode.NO]
