"""The way of a pair through round trip, judge, repeats and regeneration, with answers that are made up here."""

from collections import Counter
from typing import Any

from hpc_qa.client.request import Reply, Request
from hpc_qa.errors import RequestError
from tests.scripted_pipeline import GOOD_PAIR, VERDICT, answer_well, config, records_of, reply, run

OTHER_PAIR = {
    "evidence": [2],
    "question_type": "requirement",
    "question": "When may a provider request a fair hearing?",
    "answer": "A provider may request it when a claim is denied.",
}
WRONG = GOOD_PAIR | {"answer": "It must do so within 30 days of the application."}
ROUND_TRIP = {"round_trip": {"enabled": True}}


def answering(text: str) -> Any:
    def answer(request: Request) -> Reply:
        return reply(request, {"answer": text}) if request.kind == "round_trip" else answer_well(request)

    return answer


def test_a_pair_is_answered_again_before_it_is_judged_and_the_answer_is_kept() -> None:
    batches, sent = run(answering("Within 45 days."), config(**ROUND_TRIP))
    assert [request.kind for request in sent] == ["generate", "round_trip", "judge"]
    pair = batches[0][0]
    assert pair["accepted"]
    assert (pair["round_trip"]["answer"], pair["round_trip"]["differs"]) == ("Within 45 days.", None)


def test_the_round_trip_sees_the_document_and_the_question_and_nothing_of_the_answer() -> None:
    _, (generate, again, judge) = run(answering("Within 45 days."), config(**ROUND_TRIP))
    assert generate.messages[:3] == again.messages[:3] == judge.messages[:3]
    assert GOOD_PAIR["question"] in again.messages[-1]["content"]
    assert str(GOOD_PAIR["answer"]) not in str(again.messages)


def test_what_is_answered_otherwise_is_rejected_and_not_judged() -> None:
    for text, differs in (
        ("Within 30 days.", "numbers"),
        ("It must not do so within 45 days.", "modality"),
        ("45 cats sat on a mat and looked at us.", "words"),
    ):
        batches, sent = run(answering(text), config(**ROUND_TRIP))
        assert [request.kind for request in sent] == ["generate", "round_trip"]
        pair = batches[0][0]
        assert (pair["reject_reason"], pair["round_trip"]["differs"]) == ("round_trip", differs)


def test_a_round_trip_that_failed_is_not_a_wrong_answer() -> None:
    def answer(request: Request) -> Reply | RequestError:
        return RequestError("timeout") if request.kind == "round_trip" else answer_well(request)

    assert run(answer, config(**ROUND_TRIP))[0][0][0]["reject_reason"] == "no_round_trip"
    accepted = run(answer, config(**ROUND_TRIP, accept={"unjudged": "accept"}))[0][0][0]
    assert (accepted["accepted"], accepted["round_trip"]) == (True, None)


def test_a_pair_near_the_threshold_is_judged_again_with_other_seeds_and_the_median_counts() -> None:
    said = iter([3, 5, 4])

    def answer(request: Request) -> Reply:
        return reply(request, VERDICT | {"clarity": next(said)}) if request.kind == "judge" else answer_well(request)

    batches, sent = run(answer, config(judge_repeats=3))
    judged = [request for request in sent if request.kind == "judge"]
    assert len({request.seed for request in judged}) == len({request.id for request in judged}) == 3
    assert [request.temperature for request in judged] == [0.0, 0.7, 0.7]
    pair = batches[0][0]
    assert (pair["clarity"], pair["accepted"]) == (4, True)
    assert sorted(one["clarity"] for one in pair["judge"]["verdicts"]) == [3, 4, 5]


def test_a_pair_far_from_the_threshold_is_judged_once() -> None:
    def answer(request: Request) -> Reply:
        return reply(request, VERDICT | {"relevance": 5}) if request.kind == "judge" else answer_well(request)

    batches, sent = run(answer, config(judge_repeats=3))
    assert [request.kind for request in sent] == ["generate", "judge"]
    assert batches[0][0]["judge"] == {"reason": "clear"}


def mending(request: Request) -> Reply:
    """Writes a wrong pair beside a good one, and another good one when it is told."""
    if request.kind == "judge":
        return reply(request, VERDICT)
    told = "were rejected" in str(request.messages)
    return reply(request, {"items": [OTHER_PAIR] if told else [GOOD_PAIR, WRONG]})


def test_what_failed_is_asked_for_again_with_its_reason_and_stays_as_rejected() -> None:
    batches, sent = run(mending, config(regenerate={"attempts": 1}))
    assert Counter(request.kind for request in sent) == {"generate": 2, "judge": 2}
    again = next(request for request in sent if "were rejected" in str(request.messages))
    assert "has a number" in again.messages[-1]["content"]
    assert str(WRONG["answer"]) in again.messages[-1]["content"]
    assert again.schema is not None
    assert again.schema["properties"]["items"]["maxItems"] == 1
    pairs = records_of(batches, "pair")
    assert [(one["item"], one["regeneration"], one["reject_reason"]) for one in pairs] == [
        (0, 0, None), (1, 0, "grounded"), (101, 1, None),
    ]  # fmt: skip
    assert len({one["key"] for one in pairs}) == 3
    chunk = records_of(batches, "chunk")[0]
    assert (chunk["asked"], chunk["asked_again"], chunk["parsed"], chunk["lost"]) == (3, 1, 3, {})


def test_the_same_answers_in_any_order_give_the_same_records() -> None:
    def keys(backwards: bool) -> list[tuple[str, str]]:
        settings = config(regenerate={"attempts": 2}, controls={"share": 0.5}, judge_repeats=3, questions_per_chunk=2)
        batches, _ = run(mending, settings, chunks=6, backwards=backwards)
        return [(one["key"], one.get("question", "")) for batch in batches for one in batch]

    assert keys(False) == keys(True)


def test_nothing_is_asked_again_once_its_tokens_are_spent() -> None:
    _, sent = run(mending, config(regenerate={"attempts": 1, "max_token_share": 0.1}))
    assert Counter(request.kind for request in sent) == {"generate": 1, "judge": 1}


def test_a_pair_is_asked_for_again_as_often_as_the_settings_say() -> None:
    def answer(request: Request) -> Reply:
        return reply(request, VERDICT) if request.kind == "judge" else reply(request, {"items": [WRONG]})

    batches, sent = run(answer, config(questions_per_chunk=1, regenerate={"attempts": 3, "max_token_share": 5.0}))
    assert len(sent) == 4
    assert [one["item"] for one in records_of(batches, "pair")] == [0, 100, 200, 300]
    chunk = records_of(batches, "chunk")[0]
    assert (chunk["asked"], chunk["asked_again"], chunk["accepted"]) == (4, 3, 0)


def test_what_says_nothing_about_a_pair_does_not_have_it_asked_for_again() -> None:
    def answer(request: Request) -> Reply | RequestError:
        return RequestError("timeout") if request.kind == "judge" else answer_well(request)

    _, sent = run(answer, config(regenerate={"attempts": 1}))
    assert [request.kind for request in sent] == ["generate", "judge"]
