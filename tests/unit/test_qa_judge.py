import json
from dataclasses import replace

import pytest

from hpc_qa.config import Accept
from hpc_qa.qa import prompts
from hpc_qa.qa.judge import Verdict, accepted, asked, median, near_threshold, parse, quality_score, schema

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


BINARIES = {"grounded": True, "answerable": True, "self_contained": True}


def test_the_reason_stands_before_what_it_is_the_reason_of():
    names = ["reason", "clarity", "accuracy", "relevance", "grounded", "answerable", "self_contained"]
    assert list(schema()["properties"]) == schema()["required"] == names
    json.dumps(schema())


def test_a_prompt_is_asked_only_for_the_binaries_that_it_names():
    assert asked(prompts.load()) == ("grounded", "answerable", "self_contained")
    own = prompts.of({"judge": "Is it grounded? {{question}} {{answer}}"}, source="own")
    assert asked(own) == ("grounded",)
    assert list(schema(asked(own))["properties"])[-1] == "grounded"
    assert parse('{"clarity": 3, "accuracy": 5, "relevance": 4, "grounded": false}', asked(own)).grounded is False


def test_a_reply_without_a_binary_that_was_asked_for_is_no_verdict():
    scores = {"clarity": 5, "accuracy": 5, "relevance": 5}
    assert parse(json.dumps(scores | BINARIES), tuple(BINARIES)) == Verdict(5, 5, 5, None, True, True, True)
    assert parse(json.dumps(scores), tuple(BINARIES)) is None
    assert parse(json.dumps(scores | BINARIES | {"grounded": "yes"}), tuple(BINARIES)) is None


def test_a_required_binary_that_is_no_rejects_and_one_that_was_not_asked_for_does_not():
    good = Verdict(5, 5, 5, None, True, True, True)
    assert accepted(PASSED, good, Accept()) == (True, None)
    assert accepted(PASSED, replace(good, answerable=False), Accept()) == (False, "not_answerable")
    assert accepted(PASSED, replace(good, answerable=False), Accept(require=["grounded"])) == (True, None)
    assert accepted(PASSED, Verdict(5, 5, 5), Accept()) == (True, None)


@pytest.mark.parametrize(
    ("verdict", "near"),
    [
        (Verdict(5, 5, 5, None, True, True, True), False),
        (Verdict(4, 5, 5, None, True, True, True), True),  # one point less would reject it
        (Verdict(3, 5, 5, None, False, False, False), True),  # one point more of each would accept it
        (Verdict(2, 5, 5, None, False, False, False), False),
        (Verdict(5, 5, 5, None, True, False, True), True),
        (Verdict(5, 5, 5, None, False, False, False), True),  # they disagree with the scores
        (Verdict(5, 5, 5), False),
    ],
)
def test_a_pair_is_judged_again_where_that_can_decide_otherwise(verdict, near):
    assert near_threshold(verdict, Accept()) is near


def test_what_decides_nothing_is_never_near():
    nothing = Accept(min_clarity=None, min_accuracy=None, min_relevance=None, require=[])
    assert not near_threshold(Verdict(4, 3, 4, None, True, False, True), nothing)


def test_the_median_of_verdicts_is_that_of_each_score_and_the_majority_of_each_binary():
    first = Verdict(3, 5, 1, "first", True, True, None)
    said = [first, Verdict(4, 5, 5, "second", True, False, None), Verdict(5, 4, 5, None, False, False, None)]
    assert median(said) == Verdict(4, 5, 5, "first", True, False, None)
    assert median(said[:2]) == Verdict(3, 5, 1, "first", True, False, None)  # the stricter, where one is lacking
    assert median([first]) == first
    assert median([]) is None


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
