from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.budget.waterfall import MARKED, STAGES, Span, waterfall

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
