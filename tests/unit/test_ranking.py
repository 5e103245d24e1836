"""Which cell of a sweep is best: named only where its lead is more than what runs of the same settings differ by."""

import math

import pytest
from scipy import stats

from hpc_qa.bench.ranking import LEAST_CHUNKS, Cell, rank
from hpc_qa.bench.record import Record
from hpc_qa.report.document.sweeps import optimal

EQUAL = (0.8, 0.8, 0.8)


def cell(limit, hours, *, scores=EQUAL, chunks=200, failed=()):
    """The repeats of a cell, which took so many GPU-hours for 100 accepted pairs each."""
    records = [
        Record.model_validate(
            {
                "id": f"{limit}_{number}", "configuration": {"concurrency_limit": limit},
                "results": {"gpu_hours": spent, "qa_pairs_accepted": 100, "chunks_asked": chunks},
                "quality": {"quality_score": score},
            }
        )
        for number, (spent, score) in enumerate(zip(hours, scores, strict=False))
    ]  # fmt: skip
    records += [Record(id=f"{limit}_{why}", failure=why) for why in failed]
    return Cell((("limit", limit),), tuple(records))


def said(*cells):
    return "\n".join(optimal(cells))


def test_a_lead_that_is_more_than_noise_names_a_winner_with_the_interval():
    cells = cell(10, [4.0, 4.1, 3.9]), cell(20, [2.0, 2.05, 1.95]), cell(50, [3.0, 3.1, 2.9])
    found = rank(cells)
    assert found.winner is cells[1]
    assert [one.cell for one in found.others] == [cells[2], cells[0]]
    assert all(one.low <= one.more <= one.high and one.is_shown for one in found.others)
    assert said(*cells).startswith("**Optimal Setting**: limit 20: 0.02 GPU-hours for each accepted pair, the least")


def test_a_lead_inside_the_noise_names_no_winner_and_says_how_many_runs_would_tell():
    cells = cell(10, [4.0, 4.1, 3.9]), cell(20, [2.0, 2.4, 1.8]), cell(50, [2.2, 2.0, 2.5])
    found = rank(cells)
    assert found.winner is None
    assert [one.cell for one in found.alike] == [cells[2]]
    assert found.alike[0].runs_needed > 3
    text = said(*cells)
    assert "no difference shown between limit 20; limit 50" in text
    assert "These take less than limit 10" in text


def test_the_intervals_are_those_of_tukey_on_logarithms():
    hours = [[4.0, 4.2, 3.7], [2.0, 2.4, 1.8], [2.2, 2.0, 2.5]]
    found = rank([cell(limit, spent) for limit, spent in zip((10, 20, 50), hours, strict=True)])
    logs = [[math.log(spent / 100) for spent in arm] for arm in hours]
    bounds = stats.tukey_hsd(*logs).confidence_interval(0.95)
    near = next(one for one in found.others if one.cell.settings == (("limit", 50),))
    assert (math.log1p(near.low), math.log1p(near.high)) == pytest.approx((bounds.low[2][1], bounds.high[2][1]))


def test_runs_that_never_differ_are_compared_by_their_values():
    cells = cell(10, [2.0] * 2), cell(20, [2.01] * 2)
    assert rank(cells).winner is cells[0]
    assert "A tie, within 2 %: limit 20." in said(*cells)


@pytest.mark.parametrize(
    ("worse", "why"),
    [
        ({"hours": [1.0]}, "1 of 2 runs that a ranking needs"),
        ({"hours": [1.0], "failed": ["timed out: x"]}, "1 of 2 runs that a ranking needs, 1 failed"),
        ({"hours": [1.0, 1.1], "chunks": 4}, f"4 of {LEAST_CHUNKS} chunks that a ranking needs"),
    ],
)
def test_a_cell_with_too_few_runs_or_chunks_is_not_ranked_and_why_is_said(worse, why):
    cells = cell(10, [4.0, 4.1]), cell(20, [2.0, 2.1]), cell(5, **worse)
    found = rank(cells)
    assert found.winner is cells[1]
    assert found.unranked == ((cells[2], why),)
    assert f"Not ranked, with {why}: limit 5." in said(*cells)
    assert said(*cells[1:]).startswith("**Optimal Setting**: undecided, 1 of 2 cells can be ranked.")


def test_a_server_that_takes_more_requests_at_once_needs_more_chunks():
    assert rank([cell(100, [4.0, 4.1], chunks=149), cell(10, [2.0, 2.1])]).why_not
    assert rank([cell(100, [4.0, 4.1], chunks=150), cell(10, [2.0, 2.1])]).winner


def test_a_lower_quality_is_left_out_where_it_is_shown_and_in_doubt_where_it_is_noise():
    shown = cell(10, [4.0, 4.1]), cell(20, [2.0, 2.1], scores=(0.5, 0.51))
    assert rank(shown).winner is shown[0]
    assert rank(shown).left_out == (shown[1],)
    noise = cell(10, [4.0, 4.1], scores=(0.9, 0.6)), cell(20, [2.0, 2.1], scores=(0.4, 0.8))
    found = rank(noise)
    assert (found.winner, found.doubtful) == (None, (noise[1],))
    assert "undecided, limit 20 is the cheapest" in said(*noise)
    assert "less is not shown either: limit 20 (0.600)" in said(*noise)


def test_figures_of_a_failed_repeat_are_in_no_mean():
    failed = Record.model_validate({"id": "f", "failure": "timed out: x", "results": {"gpu_hours": 99}})
    whole = cell(10, [2.0, 2.0])
    made = Cell(whole.settings, (*whole.records, failed))
    assert (made.mean("results.gpu_hours"), made.failures) == (2.0, ["timed out: x"])
