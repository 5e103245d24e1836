"""The figures of a review against worked values from elsewhere."""

import math
import random
import statistics

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hpc_qa.qa.agreement import effective_n, mean_score, share, weighted_kappa, weighted_share

# `anxiety` of the R package irr: raters 1 and 2, whose kappa2(..., "squared") is 0.297
ANXIETY = (
    [3, 3, 3, 4, 5, 5, 2, 3, 5, 2, 2, 6, 1, 5, 2, 2, 1, 2, 4, 3],
    [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4],
)
SCORES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=60)


def test_kappa_and_its_interval_are_those_of_irr_and_statsmodels():
    found = weighted_kappa(*ANXIETY)
    assert (found.value, found.low, found.high) == pytest.approx((0.29676512, -0.01096189, 0.60449213), abs=1e-7)
    ours, theirs = [5, 5, 4, 4, 3, 2, 5, 4, 1, 3], [5, 4, 4, 3, 3, 2, 5, 5, 2, 4]
    found = weighted_kappa(ours, theirs)
    assert (found.value, found.low, found.high, found.n) == pytest.approx((0.8251748, 0.6754809, 0.9748687, 10))


def test_kappa_of_two_scores_is_cohens_own_of_1960():
    # 20 times both said yes, 15 times both no, 5 and 10 times they differed: observed 0.7, expected 0.5
    ours = [1] * 25 + [2] * 25
    theirs = [1] * 20 + [2] * 5 + [1] * 10 + [2] * 15
    assert weighted_kappa(ours, theirs).value == pytest.approx(0.4)


@given(SCORES)
def test_kappa_is_what_means_and_variances_say_of_agreement(pairs):
    """Fleiss and Cohen 1973: 2 cov / (var + var + (difference of means)^2)."""
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    below = statistics.pvariance(ours) + statistics.pvariance(theirs)
    below += (statistics.fmean(ours) - statistics.fmean(theirs)) ** 2
    assume(below > 0)
    middle = statistics.fmean(ours), statistics.fmean(theirs)
    covariance = statistics.fmean((one - middle[0]) * (other - middle[1]) for one, other in pairs)
    found = weighted_kappa(ours, theirs)
    assert found.value == pytest.approx(2 * covariance / below)
    assert weighted_kappa(theirs, ours).value == pytest.approx(found.value)


def test_kappa_is_1_when_all_agree_below_0_when_they_oppose_and_unknown_when_there_is_nothing_to_agree_on():
    assert weighted_kappa([1, 3, 5], [1, 3, 5]).value == 1
    assert weighted_kappa([1, 1, 5, 5], [5, 5, 1, 1]).value == -1
    assert weighted_kappa([4, 4], [4, 4]).value is None
    assert weighted_kappa([], []).n == 0
    with pytest.raises(ValueError, match="shorter"):
        weighted_kappa([1, 2], [1])


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(20, 20, 0.8388748, 1), (19, 20, 0.7638688, 0.9911185), (48, 50, 0.8653991, 0.9889611), (0, 10, 0, 0.2775328)],
)
def test_a_share_has_wilsons_interval(hits, n, low, high):
    found = share(hits, n)
    assert (found.value, found.low, found.high) == pytest.approx((hits / n, low, high), abs=1e-7)


def test_a_mean_has_students_interval_inside_the_scale():
    found = mean_score([5, 4, 4, 3, 5])
    half = 2.7764451 * statistics.stdev([5, 4, 4, 3, 5]) / math.sqrt(5)  # t with 4 degrees of freedom
    assert (found.value, found.low, found.high) == pytest.approx((4.2, 4.2 - half, 5.0))
    assert mean_score([1, 5]).low == 1


def test_what_ratings_do_not_say_is_null():
    assert mean_score([]).value is None
    assert (mean_score([4]).value, mean_score([4]).low) == (4, None)
    assert share(0, 0).low is None


def test_equal_weights_change_nothing_and_unequal_ones_give_the_share_of_the_population():
    assert mean_score([5, 4, 4, 3], [2, 2, 2, 2]) == mean_score([5, 4, 4, 3])
    assert weighted_share([True, True, False], [3, 3, 3]) == share(2, 3)
    found = weighted_share([True] * 10 + [False] * 10, [5] * 10 + [1] * 10)
    assert found.value == pytest.approx(5 / 6)
    assert found.n == 20
    assert found.high - found.low > share(17, 20).high - share(17, 20).low
    assert effective_n([5] * 10 + [1] * 10) == pytest.approx(3600 / 260)
    assert mean_score([5, 1], [3, 1]).value == 4


@pytest.mark.parametrize("estimate", [mean_score, weighted_share])
def test_weights_of_other_things_are_refused(estimate):
    with pytest.raises(ValueError, match="3 weights for 2 things"):
        estimate([1, 1], [1, 1, 1])


def test_the_weighted_interval_covers_the_share_of_the_population():
    draw, inside = random.Random(5), 0
    for _ in range(400):
        large = [draw.random() < 0.9 for _ in range(25)]
        small = [draw.random() < 0.5 for _ in range(25)]
        found = weighted_share([*large, *small], [5] * 25 + [1] * 25)
        inside += found.low <= (5 * 0.9 + 0.5) / 6 <= found.high
    assert inside >= 0.93 * 400
