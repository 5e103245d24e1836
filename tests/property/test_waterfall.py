import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.budget.waterfall import MARKED, STAGES, Span, waterfall
from hpc_qa.report.waterfall import waterfall_bars

MOMENTS = st.integers(0, 10_000_000)
SPANS = st.lists(
    st.builds(lambda stage, a, b: Span(stage, min(a, b), max(a, b)), st.sampled_from(MARKED), MOMENTS, MOMENTS)
)


@given(MOMENTS, MOMENTS, SPANS)
def test_stages_sum_to_the_allocation_exactly_whatever_the_marks_say(one, other, spans):
    start, end = sorted((one, other))
    taken = waterfall(start, end, spans)
    assert sum(taken.values()) == end - start
    assert set(taken) == set(STAGES)
    assert min(taken.values()) >= 0


@given(st.lists(st.integers(0, 1_000_000), min_size=8, max_size=8))
def test_of_an_attempt_that_ended_in_order_every_moment_has_its_stage(lengths):
    at, spans = lengths[0], []
    for stage, length in zip(MARKED, lengths[1:], strict=False):
        spans.append(Span(stage, at, at + length))
        at += length
    taken = waterfall(0, at + lengths[-1], spans)
    assert taken["launch"] == lengths[0]
    assert [taken[stage] for stage in MARKED[:-1]] == lengths[1:6]
    assert taken["teardown"] == lengths[6] + lengths[7]
    assert (taken["lost"], taken["unattributed"]) == (0, 0)


def test_what_a_killed_attempt_had_begun_is_lost_and_a_task_that_left_no_mark_was_being_launched():
    assert waterfall(0, 1_000, [Span("setup", 100, 300)])["lost"] == 700
    assert waterfall(0, 1_000, [])["launch"] == 1_000
    assert waterfall(0, 1_000, [Span("setup", 100, 300), Span("serving", 350, 400)])["unattributed"] == 50


HOURS = st.floats(0, 1e6, allow_nan=False)


@given(
    st.dictionaries(st.sampled_from((*STAGES, "generation", "judging", "not marked", "a new one")), HOURS, min_size=1)
)
def test_the_bars_of_the_plot_sum_to_the_allocation_and_each_begins_where_the_one_before_it_ends(hours):
    allocated = math.fsum(hours.values())
    report = {
        "allocated": {"gpu_hours": allocated},
        "stages": [{"stage": name, "gpu_hours": spent} for name, spent in hours.items()],
    }
    bars = waterfall_bars(report)
    if not allocated:
        assert bars == []
        return
    assert {bar.stage for bar in bars} == set(hours)
    assert math.fsum(bar.gpu_hours for bar in bars) == pytest.approx(allocated)
    assert bars[0].end == allocated
    assert all(bar.begin == after.end for bar, after in itertools.pairwise(bars))
    assert bars[-1].begin == pytest.approx(0, abs=1e-9 * allocated)


def test_what_no_stage_tells_of_is_a_bar_of_its_own():
    bars = waterfall_bars({"used": {"gpu_hours": 10.0}, "stages": [{"stage": "serving", "gpu_hours": 7.0}]})
    assert [(bar.stage, bar.begin, bar.end) for bar in bars] == [("in no stage", 7.0, 10.0), ("serving", 0.0, 7.0)]
