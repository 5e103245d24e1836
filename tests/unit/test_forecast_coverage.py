"""Intervals of the forecast hold as often as they say, in campaigns whose totals are known (benchmarks/forecast.py)."""

import itertools

import pytest

from benchmarks.forecast import CAMPAIGNS, COVERED, FAMILIES, GATES, SEEDS, figures_of, outcomes, wilson_upper


def test_in_every_cell_the_interval_holds_nearly_as_often_as_it_says():
    found = list(outcomes(SEEDS["tuned"], 60))
    cells = list(itertools.product(FAMILIES, GATES, (False, True)))
    assert len(found) == 60 * len(cells)
    for cell in cells:
        held = [one.covered for one in found if (one.family, one.gate, one.disturbed) == cell]
        assert sum(held) >= COVERED * len(held), cell


@pytest.mark.long
@pytest.mark.covers("budget")
def test_with_seeds_by_which_nothing_was_chosen_every_figure_is_met():
    figures = figures_of(list(outcomes(SEEDS["fresh"], CAMPAIGNS)))
    assert [(figure.name, figure.measured) for figure in figures if not figure.met] == []


def test_the_upper_end_of_wilsons_interval_is_that_of_the_textbook():
    assert wilson_upper(0, 10, z=1.96) == pytest.approx(0.2775, abs=1e-4)  # Newcombe 1998
    assert wilson_upper(81, 263, z=1.96) == pytest.approx(0.3662, abs=1e-4)
