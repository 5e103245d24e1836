"""What controls say of a judge: scripted judges, the correction of a rate, and what the card tells."""

import random

import pytest

from hpc_qa.campaign.calibration import Calibration, Calibrations, a_score_decides
from hpc_qa.qa.calibration import corrected_rate


def calibration_of(judge, *, controls=200, pairs=400, good_share=0.8):
    """The calibration that a judge gets; `judge` is told whether a pair is good, and says whether it accepts it."""
    found = Calibration()
    records = [{"kind": "control", "chunk_id": "c", "good": n % 2 == 0, "control": "extractive" if n % 2 == 0 else
                ("negation", "number_changed")[n % 4 // 2], "accepted": judge(n % 2 == 0)}
               for n in range(controls)]  # fmt: skip
    records += [{"kind": "pair", "chunk_id": "c", "clarity": 5, "accepted": judge(n < good_share * pairs)}
                for n in range(pairs)]  # fmt: skip
    found.add({"chunk_id": "c"}, records)
    return found


def test_a_perfect_judge_is_right_on_every_control_and_its_rate_stands():
    found = calibration_of(lambda good: good)
    assert (found.sensitivity.value, found.specificity.value) == (1.0, 1.0)
    assert found.corrected.value == pytest.approx(0.8)
    assert all(right.value == 1.0 for _, right in found.by_kind().values())


def test_a_coin_is_at_about_chance_and_its_rate_says_nothing():
    draw = random.Random(1)
    found = calibration_of(lambda _good: draw.random() < 0.5, controls=2_000)
    assert found.sensitivity.value == pytest.approx(0.5, abs=0.05)
    assert found.specificity.value == pytest.approx(0.5, abs=0.05)
    width = 1.0 if found.corrected.value is None else found.corrected.high - found.corrected.low
    assert width == 1.0


def test_a_judge_that_always_says_yes_has_no_specificity_and_its_rate_is_not_known():
    found = calibration_of(lambda _good: True)
    assert (found.sensitivity.value, found.specificity.value) == (1.0, 0.0)
    assert found.corrected.value is None
    assert "not known" in found.words()


def test_a_lenient_judge_is_corrected_to_the_share_of_good_pairs():
    draw = random.Random(2)
    found = calibration_of(lambda good: good or draw.random() < 0.4, controls=4_000, pairs=4_000)
    assert found.acceptance.value == pytest.approx(0.88, abs=0.02)
    assert found.corrected.low < 0.8 < found.corrected.high
    assert found.corrected.high - found.corrected.low > found.acceptance.high - found.acceptance.low


@pytest.mark.parametrize(
    ("share", "sensitivity", "specificity", "controls"),
    [(0.8, 0.9, 0.7, 20), (0.9, 0.95, 0.9, 40), (0.5, 0.8, 0.8, 10), (0.97, 0.98, 0.6, 30)],
)
def test_the_interval_of_a_corrected_rate_covers_the_truth(share, sensitivity, specificity, controls):
    draw = random.Random(3)

    def hits(n, rate):
        return sum(draw.random() < rate for _ in range(n))

    inside = known = 0
    for _ in range(300):
        good = hits(300, share)
        accepted = hits(good, sensitivity) + hits(300 - good, 1 - specificity)
        found = corrected_rate(
            accepted, 300, (hits(controls, sensitivity), controls), (hits(controls, specificity), controls)
        )
        known += found.value is not None
        inside += found.value is not None and found.low <= share <= found.high
    assert known > 290
    assert inside >= 0.93 * known


def test_nothing_is_known_without_controls_of_both_kinds():
    assert corrected_rate(8, 10, (5, 5), (0, 0)).value is None
    assert corrected_rate(8, 10, (0, 0), (5, 5)).value is None
    assert corrected_rate(0, 0, (5, 5), (5, 5)).value is None
    assert "No control was judged" in Calibration().words()


def test_a_control_without_a_verdict_counts_apart():
    found = Calibration()
    lost = {"kind": "control", "chunk_id": "c", "good": True, "control": "extractive", "accepted": None}
    found.add({"chunk_id": "c"}, [lost])
    assert (found.without_verdict, found.sensitivity.n) == (1, 0)


def accept(**minima):
    return {"accept": {"min_clarity": None, "min_accuracy": None, "min_relevance": None, "require": [], **minima}}


def test_a_score_decides_where_a_minimum_or_a_binary_that_is_asked_for_can_reject():
    assert not a_score_decides(accept(), None)
    assert a_score_decides(accept(min_accuracy=2), None)
    assert a_score_decides(accept(require=["grounded"]), "say whether it is grounded")
    assert not a_score_decides(accept(require=["grounded"]), "say how clear it is")


def control(*, good, scores, accepted=True):
    said = dict(zip(("clarity", "accuracy", "relevance"), scores, strict=True))
    kind = "extractive" if good else "negation"
    return {"kind": "control", "chunk_id": "c", "good": good, "control": kind, "accepted": accepted} | said


def test_a_judge_that_decides_nothing_has_no_specificity_but_one_by_the_reference_rule():
    found = Calibration(decides=False)
    bad = [control(good=False, scores=(5, 1, 5))] * 3 + [control(good=False, scores=(4, 4, 4))]
    found.add({"chunk_id": "c"}, [control(good=True, scores=(5, 5, 4)), *bad])
    said = found.to_json()
    assert said["specificity"]["value"] is said["sensitivity"]["value"] is said["acceptance_rate"]["value"] is None
    assert said["reference"]["rule"] == "every score at least 4"
    assert (said["reference"]["sensitivity"]["value"], said["reference"]["specificity"]["value"]) == (1.0, 0.75)
    assert "No score decides" in found.words()
    assert "(specificity) | 4 | 75.0 %" in found.words()
    assert "0.0 % (" not in found.words().replace("100.0 % (", "")
    assert found.of_record() == dict.fromkeys(("sensitivity", "specificity", "corrected_acceptance_rate"))


def test_two_judges_have_a_calibration_each_and_none_together():
    found = Calibrations()
    strict, lenient = (found.of("model", rule, decides=True) for rule in ("accuracy of 5", "accuracy of 2"))
    strict.add({"chunk_id": "c"}, [control(good=False, scores=(4, 4, 4), accepted=False)])
    lenient.add({"chunk_id": "c"}, [control(good=False, scores=(4, 4, 4), accepted=True)] * 3)
    said = found.to_json()
    assert [one["specificity"]["value"] for one in said["judges"]] == [0.0, 1.0]
    assert said["specificity"] == {"value": None, "low": None, "high": None, "n": 0}
    assert all(f"model, accepting accuracy of {least}:" in found.words() for least in (2, 5))
    assert found.of("model", "accuracy of 5", decides=True) is strict


def test_the_only_judge_is_said_as_before():
    found = Calibrations()
    found.of("model", "every check", decides=True).add({"chunk_id": "c"}, [control(good=True, scores=(5, 5, 5))])
    assert found.to_json()["sensitivity"]["value"] == 1.0
    assert found.to_json()["judges"][0]["model"] == "model"
