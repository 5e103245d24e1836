"""A comparison of arms: which side is which, what unit, and how large the effect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.bench.effect import INCONCLUSIVE, NO_REGRESSION, REGRESSED, SUSPECT
from hpc_qa.bench.regression import WORST_FIRST, check
from tests.made_records import arm

VALUES = st.lists(st.floats(1, 100), min_size=3, max_size=7)
SHARES = st.lists(st.integers(0, 50).map(lambda failed: failed / 50), min_size=3, max_size=7)
FACTORS = st.floats(0.2, 1.0)


@given(before=VALUES, after=VALUES)
def test_the_arms_swapped_turn_the_sign(before, after):
    one = check(arm(throughput=before), arm(throughput=after)).metrics[0]
    other = check(arm(throughput=after), arm(throughput=before)).metrics[0]
    for mine, theirs in ((one.effect, other.effect), (one.low, other.high), (one.high, other.low)):
        assert (1 + mine) * (1 + theirs) == pytest.approx(1)


@given(before=SHARES, after=SHARES)
def test_error_rates_swapped_turn_the_sign(before, after):
    one, other = check(arm(errors=before), arm(errors=after)), check(arm(errors=after), arm(errors=before))
    assert one.metrics[2].effect == pytest.approx(-other.metrics[2].effect)
    assert one.metrics[2].low == pytest.approx(-other.metrics[2].high)


@given(before=VALUES, after=VALUES, unit=st.floats(0.01, 100))
def test_another_unit_in_both_arms_changes_nothing(before, after, unit):
    one = check(arm(throughput=before), arm(throughput=after)).metrics[0]
    other = check(arm(throughput=[unit * x for x in before]), arm(throughput=[unit * x for x in after])).metrics[0]
    assert (one.effect, one.low, one.high) == pytest.approx((other.effect, other.low, other.high), abs=1e-9)


@given(before=VALUES, after=VALUES, factor=FACTORS, quality=st.sampled_from([(), (0.7, 0.71, 0.69), (0.2, 0.7, 0.9)]))
def test_a_larger_loss_never_has_a_better_verdict(before, after, factor, quality):
    good = arm(throughput=before, quality=(0.7, 0.7, 0.71) if quality else ())
    one = check(good, arm(throughput=after, quality=quality))
    worse = check(good, arm(throughput=[factor * value for value in after], quality=quality))
    assert WORST_FIRST.index(worse.verdict) <= WORST_FIRST.index(one.verdict)
    assert WORST_FIRST.index(worse.metrics[0].verdict) <= WORST_FIRST.index(one.metrics[0].verdict)


@given(before=SHARES | VALUES.map(lambda values: [value / 100 for value in values]), after=SHARES)
def test_an_effect_lies_in_its_interval_and_a_verdict_says_where_the_interval_lies(before, after):
    one = check(arm(errors=before), arm(errors=after)).metrics[2]
    assert one.low - 1e-12 <= one.effect <= one.high + 1e-12
    if one.low < one.high:
        expected = {REGRESSED: one.low > 0.02, NO_REGRESSION: one.high < 0.02, INCONCLUSIVE: one.high >= 0.02,
                    SUSPECT: one.effect > 0.02 and one.low > 0}  # fmt: skip
        assert expected[one.verdict]


@given(values=VALUES, shares=SHARES)
def test_an_arm_is_no_regression_of_itself_or_not_decided_yet(values, shares):
    same = arm(throughput=values, errors=shares[: len(values)])
    assert check(same, same).verdict in (NO_REGRESSION, INCONCLUSIVE)
