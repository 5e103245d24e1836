import json

import pytest

from hpc_qa.config import Accept
from hpc_qa.qa.judge import SCHEMA, Verdict, accepted, parse, quality_score

PASSED = {"evidence_exists": True, "grounded": True}


def test_three_scores_are_a_verdict():
    assert parse('{"reason": "vague", "clarity": 3, "accuracy": 5, "relevance": 4}') == Verdict(3, 5, 4, "vague")
    assert parse('{"clarity": 3, "accuracy": 5, "relevance": 4}') == Verdict(3, 5, 4, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "[5, 5, 5]",
        '{"clarity": 5, "accuracy": 5}',
        '{"clarity": 0, "accuracy": 5, "relevance": 5}',
        '{"clarity": 6, "accuracy": 5, "relevance": 5}',
        '{"clarity": "5", "accuracy": 5, "relevance": 5}',
        '{"clarity": 4.5, "accuracy": 5, "relevance": 5}',
        '{"clarity": true, "accuracy": 5, "relevance": 5}',
        '{"clarity": 5, "accuracy": 5, "relevance": 5',
        "[" * 100_000,
    ],
)
def test_anything_else_is_no_verdict(text):
    assert parse(text) is None
    assert quality_score(parse(text)) is None


def test_the_reason_stands_before_the_scores_and_may_be_left_out():
    assert list(SCHEMA["properties"]) == ["reason", "clarity", "accuracy", "relevance"]
    assert "reason" not in SCHEMA["required"]
    json.dumps(SCHEMA)


@pytest.mark.parametrize(
    ("verdict", "score"), [(Verdict(1, 1, 1), 0.0), (Verdict(5, 5, 5), 1.0), (Verdict(3, 4, 5), 0.75)]
)
def test_quality_score_maps_one_to_five_on_zero_to_one(verdict, score):
    assert quality_score(verdict) == pytest.approx(score)


def test_a_failed_check_is_the_reason_whatever_the_judge_says():
    assert accepted({"a": True, "b": False, "c": False}, Verdict(5, 5, 5), Accept()) == (False, "b")


def test_no_verdict_is_not_a_score():
    assert accepted(PASSED, None, Accept()) == (False, "no_verdict")
    assert accepted(PASSED, None, Accept(unjudged="accept")) == (True, None)


def test_the_first_score_below_its_minimum_is_the_reason():
    assert accepted(PASSED, Verdict(3, 2, 5), Accept()) == (False, "clarity_below_4")
    assert accepted(PASSED, Verdict(3, 2, 5), Accept(min_clarity=None)) == (False, "accuracy_below_4")
    assert accepted(PASSED, Verdict(4, 4, 4), Accept()) == (True, None)


def test_without_a_judge_the_checks_decide():
    assert accepted(PASSED, None, Accept(), judged=False) == (True, None)
    assert accepted({"a": False}, None, Accept(), judged=False) == (False, "a")
